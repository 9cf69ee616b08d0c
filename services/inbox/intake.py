"""A ticket that somebody labelled or assigned becomes a task: the same ticket the same task, however often it is told."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from pydantic import ValidationError

from contracts.task import TaskRequest
from contracts.ticket import TicketPlace
from mcp_servers.repo.hosted import HostedRepository
from services.forge_access import ForgeAccess
from services.inbox.hints import Ignored, TicketHint
from services.inbox.payload import host_of
from services.ticket_rules import TicketRules

TITLE_CHARACTERS = 300
DESCRIPTION_CHARACTERS = 100_000
CRITERIA = 50
CRITERION_CHARACTERS = 1_000
REQUESTER_CHARACTERS = 200
URL_CHARACTERS = 2_000
OPEN_ITEM = re.compile(r"^[ \t]{0,12}(?:[-*+]|\d{1,3}[.)])[ \t]+\[ \][ \t]+(\S.*)$", re.MULTILINE)
HEADING = re.compile(r"^[ \t]{0,3}(?:#{1,6}[ \t]+|\*\*)(.*)$", re.MULTILINE)
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")


class TicketIntake:
    """Makes requests of tickets. Which repository is meant the configuration says, never the ticket alone."""

    def __init__(self, rules: TicketRules, forges: Mapping[str, ForgeAccess]) -> None:
        self._rules = rules
        self._forges = {host.lower(): (host, access) for host, access in forges.items()}

    def request(self, hint: TicketHint) -> TaskRequest | Ignored:
        """The request that a ticket stands for, or why it stands for none."""
        repository = self._repository(hint)
        if isinstance(repository, Ignored):
            return repository
        place = TicketPlace(
            system=hint.system, host=hint.host, repository=hint.repository.path if hint.repository else "", key=hint.key
        )
        if place.source is None:
            return Ignored("the ticket's address is no text, or longer than 200 characters")
        description = UNPRINTABLE.sub("", hint.description)[:DESCRIPTION_CHARACTERS]
        try:
            return TaskRequest(
                repo=repository,
                title=_line(hint.title, TITLE_CHARACTERS) or hint.key,
                description=description,
                ticket_url=hint.url if host_of(hint.url) == hint.host and len(hint.url) <= URL_CHARACTERS else "",
                source=place.source,
                acceptance_criteria=criteria(description),
                kind=self._rules.kind(hint.labels),
                requester=_line(hint.requester, REQUESTER_CHARACTERS),
            )
        except ValidationError as invalid:
            return Ignored(f"the ticket makes no task: {invalid.errors()[0]['msg']}")

    def _repository(self, hint: TicketHint) -> str | Ignored:
        if hint.repository is not None:
            return self._beside_the_code(hint.system, hint.repository)
        wanted = {name.lower(): url for name, url in self._rules.repositories.items()}
        name = f"{hint.system}:{hint.project}"
        return wanted.get(name.lower()) or Ignored(f"no repository is configured for {name}; name it in tickets.repositories")

    def _beside_the_code(self, system: str, repository: HostedRepository) -> str | Ignored:
        host, access = self._forges.get(repository.host, ("", None))
        if access is None or access.kind != system:
            return Ignored(f"{repository.host} is no {system} host of the setting forges")
        return f"{urlsplit(access.url(host)).scheme}://{host}/{repository.path}.git"


def criteria(description: str) -> tuple[str, ...]:
    """The open items of a ticket's task list: those below a heading that speaks of acceptance, else all."""
    for heading in HEADING.finditer(description):
        if re.search(r"\bacceptance\b|\bdefinition of done\b", heading[1], re.IGNORECASE):
            rest = description[heading.end() :]
            following = HEADING.search(rest)
            if found := _open_items(rest[: following.start()] if following else rest):
                return found
    return _open_items(description)


def _open_items(told: str) -> tuple[str, ...]:
    return tuple(_line(found[1], CRITERION_CHARACTERS) for found in OPEN_ITEM.finditer(told.replace("\r\n", "\n")))[:CRITERIA]


def _line(told: str, limit: int) -> str:
    return " ".join(UNPRINTABLE.sub("", told).split())[:limit].strip()
