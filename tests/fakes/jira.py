"""A Jira as far as comments go: Cloud takes documents and an API token, Data Center wiki markup and a personal access token."""

import base64
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fakes.forge_server import Asked, FakeForge, Refused, Routes, Told

ROUTES = Routes()
COMMENTS = "/issue/{key}/comment"
INLINE = ("text", "hardBreak", "mention", "emoji", "inlineCard")


@dataclass
class JiraComment:
    id: int
    author: str
    body: Any


@dataclass
class JiraIssue:
    key: str
    comments: list[JiraComment] = field(default_factory=list)


class FakeJira(FakeForge):
    """One site with some issues; ``cloud`` says which of the two it is."""

    def __init__(self, folder: Path, cloud: bool = True) -> None:
        super().__init__(folder)
        self.cloud = cloud
        self.us, self.token, self.email = "5b10a2844c20165700ede21g", "an-api-token", "bot@example.com"
        self.issues = {key: JiraIssue(key) for key in ("ENG-1", "ENG-2")}
        self._next = 10_000

    def answer(self, asked: Asked) -> Told:
        if asked.headers.get("authorization") != self._expected():
            raise Refused(401, {"errorMessages": ["Client must be authenticated to access this resource."]})
        lead = "/rest/api/3" if self.cloud else "/rest/api/2"
        found = ROUTES.find(asked, asked.path.removeprefix(lead)) if asked.path.startswith(lead) else None
        if found is None:
            raise Refused(404, {"errorMessages": ["Not found."]})
        route, _, names = found
        return route(self, asked, **names)

    def comment(self, key: str, author: str, body: Any) -> JiraComment:
        """Somebody writes below an issue."""
        self._next += 1
        made = JiraComment(self._next, author, body)
        self.issues[key].comments.append(made)
        return made

    def person(self, name: str) -> dict[str, Any]:
        return {"accountId": name, "displayName": name} if self.cloud else {"key": name, "name": name}

    def _expected(self) -> str:
        if not self.cloud:
            return f"Bearer {self.token}"
        return "Basic " + base64.b64encode(f"{self.email}:{self.token}".encode()).decode()

    def shape(self, comment: JiraComment) -> dict[str, Any]:
        return {"id": str(comment.id), "author": self.person(comment.author), "body": comment.body}

    def taken(self, body: Any) -> Any:
        """A body as Jira takes it. Refuses a document that is none, as Jira does."""
        wrong = Refused(400, {"errorMessages": [], "errors": {"comment": "Comment body is not valid!"}})
        if not self.cloud:
            if not isinstance(body, str) or not body:
                raise wrong
            return body
        if not isinstance(body, dict) or (body.get("type"), body.get("version")) != ("doc", 1):
            raise wrong
        for block in body["content"]:
            inner = block["content"] if block["type"] == "blockquote" else [block]
            for paragraph in inner:
                spans = paragraph["content"]
                plain = all(span["type"] in INLINE and span.get("text", "x") for span in spans)
                if paragraph["type"] != "paragraph" or not plain:
                    raise wrong
        return body


def _issue(fake: FakeJira, key: str) -> JiraIssue:
    if key not in fake.issues:
        raise Refused(404, {"errorMessages": ["Issue does not exist or you do not have permission to see it."]})
    return fake.issues[key]


@ROUTES.on("GET", "/myself")
def myself(fake: FakeJira, asked: Asked) -> Told:
    return Told(200, fake.person(fake.us))


@ROUTES.on("GET", COMMENTS)
def comments(fake: FakeJira, asked: Asked, key: str) -> Told:
    first, most = int(asked.query.get("startAt", 0)), min(int(asked.query.get("maxResults", 50)), 100)
    told = _issue(fake, key).comments
    shown = [fake.shape(one) for one in told[first : first + most]]
    return Told(200, {"startAt": first, "maxResults": most, "total": len(told), "comments": shown})


@ROUTES.on("POST", COMMENTS)
def write(fake: FakeJira, asked: Asked, key: str) -> Told:
    issue = _issue(fake, key)
    return Told(201, fake.shape(fake.comment(issue.key, fake.us, fake.taken(asked.json["body"]))))


@ROUTES.on("PUT", COMMENTS + "/{number}")
def change(fake: FakeJira, asked: Asked, key: str, number: str) -> Told:
    found = next((one for one in _issue(fake, key).comments if str(one.id) == number), None)
    if found is None or found.author != fake.us:
        raise Refused(400, {"errorMessages": ["You do not have permission to edit this comment."]})
    found.body = fake.taken(asked.json["body"])
    return Told(200, fake.shape(found))
