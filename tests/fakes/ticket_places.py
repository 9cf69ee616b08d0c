"""Ticket systems where comments are tried: each with a ticket, other people, and what is really there in the end."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import requests

from contracts.ticket import TicketPlace
from mcp_servers.repo.tickets.jira import JiraTickets
from mcp_servers.repo.tickets.linear import LinearTickets
from mcp_servers.repo.tickets.spans import plain
from mcp_servers.repo.tickets.tickets import TicketSystem
from tests.fakes.forge_places import REPOSITORY, github_place, gitlab_place
from tests.fakes.forge_server import Asked, FakeForge, ForgeServer, Told
from tests.fakes.jira import FakeJira
from tests.fakes.node import free_port, package, serving


class TicketDesk(Protocol):
    """A ticket system with a ticket."""

    server: Any
    system: TicketSystem
    place: TicketPlace
    missing: TicketPlace

    def said(self) -> list[tuple[bool, str]]:
        """Every comment, oldest first: whether it is ours, and its words."""
        ...

    def says(self, body: str) -> None:
        """Somebody else writes a comment."""
        ...


class ForgeDesk:
    """An issue beside the code."""

    def __init__(self, place: Any) -> None:
        self.server, self.system, self.kind = place.server, place.forge, place.kind
        self.path = REPOSITORY if place.kind == "github" else place.project.path
        self.number = place.server.open_issue(self.path, "bob", "Empty carts fail")
        self.place = TicketPlace(system=place.kind, host=place.host, repository=self.path, key=str(self.number))
        self.missing = self.place.model_copy(update={"key": "999"})

    def said(self) -> list[tuple[bool, str]]:
        if self.kind == "github":
            told = self.server.repositories[self.path].issues[self.number].comments
            return [(one.author.endswith("[bot]"), _unmarked(one.body)) for one in told]
        told = [one.notes[0] for one in self.server.projects[self.path].issues[self.number].discussions]
        return [(one.author == self.server.login, _unmarked(one.body)) for one in told]

    def says(self, body: str) -> None:
        self.server.comment_issue(self.path, self.number, "eve", body)


class JiraDesk:
    """An issue in Jira."""

    def __init__(self, server: FakeJira) -> None:
        self.server = server
        self.host = server.url.partition("://")[2]
        self.system = JiraTickets(server.url, lambda: server.token, server.email if server.cloud else "")
        self.place = TicketPlace(system="jira", host=self.host, key="ENG-1")
        self.missing = TicketPlace(system="jira", host="", key="ENG-99")

    def said(self) -> list[tuple[bool, str]]:
        return [(one.author == self.server.us, plain(one.body).rstrip()) for one in self.server.issues["ENG-1"].comments]

    def says(self, body: str) -> None:
        document = {"type": "doc", "version": 1, "content": [
            {"type": "paragraph", "content": [{"type": "text", "text": body}]}]}
        self.server.comment("ENG-1", "eve", document if self.server.cloud else body)


class Relay(FakeForge):
    """Stands between us and a server of somebody else's, and loses what it is told to lose."""

    def __init__(self, folder: Path, behind: str) -> None:
        super().__init__(folder)
        self.behind = behind

    def answer(self, asked: Asked) -> Told:
        headers = {"Authorization": asked.headers.get("authorization", ""), "Content-Type": "application/json"}
        answer = requests.request(asked.method, self.behind + asked.path, data=asked.body, headers=headers, timeout=20)
        return Told(answer.status_code, body=answer.content)


class LinearDesk:
    """An issue in the Linear that others emulate."""

    def __init__(self, server: Relay) -> None:
        self.server = server
        self.system = LinearTickets(lambda: "tok_bot", server.url)
        team = self.asked("{ teams { nodes { id key } } }")["teams"]["nodes"][0]
        made = self.asked("mutation M($team: String!) { issueCreate(input: {teamId: $team, title: \"Empty carts fail\"}) "
                          "{ issue { id } } }", team=team["id"])
        self.place = TicketPlace(system="linear", host="linear.app", key=made["issueCreate"]["issue"]["id"])
        self.missing = TicketPlace(system="linear", host="linear.app", key="00000000-0000-4000-8000-000000000000")

    def asked(self, document: str, who: str = "tok_eve", **variables: Any) -> Any:
        """What a person does."""
        headers = {"Authorization": f"Bearer {who}"}
        told = requests.post(f"{self.server.behind}/graphql", json={"query": document, "variables": variables},
                             headers=headers, timeout=20).json()
        assert "errors" not in told, told
        return told["data"]

    def said(self) -> list[tuple[bool, str]]:
        told = self.asked("query Q($id: String!) { issue(id: $id) { comments(first: 200) { nodes { body user { email } } } } }",
                          id=self.place.key)
        nodes = told["issue"]["comments"]["nodes"]
        return [(one["user"]["email"] == "bot@example.com", one["body"]) for one in nodes]

    def says(self, body: str) -> None:
        self.asked("mutation M($id: String!, $body: String!) { commentCreate(input: {issueId: $id, body: $body}) { success } }",
                   id=self.place.key, body=body)


SEED = {
    "linear": {
        "organization": {"name": "Shop", "url_key": "shop"},
        "users": [{"email": f"{name}@example.com", "name": name} for name in ("bot", "eve")],
        "teams": [{"key": "ENG", "name": "Engineering", "states": [{"name": "Todo", "type": "unstarted"}]}],
        "labels": [{"name": name, "color": "#d92d20", "team": "ENG"} for name in ("Bug", "patchwright")],
        "tokens": [{"token": f"tok_{name}", "user": f"{name}@example.com", "scopes": ["read", "write", "admin"]}
                   for name in ("bot", "eve")],
    }
}


@contextmanager
def emulated_linear(folder: Path) -> Iterator[str]:
    """Where the emulated Linear answers."""
    (folder / "seed.json").write_text(json.dumps(SEED))
    port = free_port()
    arguments = ["start", "--service", "linear", "--port", str(port), "--seed", "seed.json"]
    script = package("emulate") / "dist" / "index.js"
    with serving(script, arguments, f"http://127.0.0.1:{port}/", folder / "emulate.log"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def ticket_desk(kind: str, folder: Path) -> Iterator[Any]:
    """A desk of one kind."""
    with ExitStack() as opened:
        match kind:
            case "github" | "gitlab":
                yield ForgeDesk(opened.enter_context((github_place if kind == "github" else gitlab_place)(folder)))
            case "linear":
                behind = opened.enter_context(emulated_linear(folder))
                yield LinearDesk(opened.enter_context(ForgeServer(Relay(folder, behind))))  # type: ignore[arg-type]
            case _:
                server = opened.enter_context(ForgeServer(FakeJira(folder, cloud=kind == "jira cloud")))
                assert isinstance(server, FakeJira)
                yield JiraDesk(server)


def _unmarked(body: str) -> str:
    return re.sub(r"\s*<!-- patchwright:[^>]*-->", "", body)
