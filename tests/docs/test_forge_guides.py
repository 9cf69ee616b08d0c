"""The guides ask people for exactly what the code asks the forges for, and their configuration is one."""

import re
from pathlib import Path

import pytest
import yaml

from mcp_servers.repo.github.app import PERMISSIONS
from mcp_servers.repo.gitlab.forge import ROLE, SCOPES
from services.forge_access import ForgeAccess
from services.inbox.github import GitHubReader
from services.inbox.gitlab import GitLabReader
from services.settings import IsolatedSettings
from services.ticket_rules import TicketRules

GUIDES = Path(__file__).parents[2] / "docs" / "guides"


def rows(guide: str, table: str) -> list[tuple[str, ...]]:
    text = (GUIDES / guide).read_text()
    found = re.search(rf"<!-- {table} -->\n(.*?)<!-- end -->", text, re.DOTALL)
    assert found
    return [tuple(cell.strip(" `") for cell in row.strip("|").split("|")) for row in found[1].splitlines()[2:]]


def test_the_permissions_of_the_github_guide_are_those_that_tokens_are_asked_for():
    assert rows("github.md", "permissions") == [(name, needed.level, needed.reason) for name, needed in PERMISSIONS.items()]


def test_the_scopes_and_the_role_of_the_gitlab_guide_are_those_of_the_code():
    assert rows("gitlab.md", "scopes") == list(SCOPES.items())
    assert f"the role *{ROLE}*" in (GUIDES / "gitlab.md").read_text()


def test_the_events_of_the_guides_are_those_that_are_read():
    assert {row[0] for row in rows("github.md", "events")} == set(GitHubReader(TicketRules()).events)
    assert {row[1].strip("`") for row in rows("gitlab.md", "events")} == set(GitLabReader(TicketRules()).events)


@pytest.mark.parametrize("guide", ["github.md", "gitlab.md", "tickets.md"])
def test_every_configuration_in_a_guide_is_taken(guide: str, tmp_path: Path):
    found = re.findall(r"```yaml\n(.*?)```", (GUIDES / guide).read_text(), re.DOTALL)
    assert len(found) >= 2
    for text in found:
        IsolatedSettings(data_dir=tmp_path, **yaml.safe_load(text))
        for host, told in yaml.safe_load(text).get("forges", {}).items():
            access = ForgeAccess.model_validate(told)
            assert access.kind == guide.removesuffix(".md")
            bare = ForgeAccess.model_validate({name: value for name, value in told.items() if name != "api_url"})
            assert access.url(host) == bare.url(host)
