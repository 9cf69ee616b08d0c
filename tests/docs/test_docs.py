"""The docs say what is true today: links, commands, settings, states, files, terms and tables."""

import re
import subprocess
from pathlib import Path

import pytest
import typer.core
import typer.main

from contracts.task import TaskState
from services import doc_tables
from services.cli.app import app
from services.ledger.metrics import LedgerMetrics
from services.ledger.providers import ModelProvider
from services.settings import CONFIG_VARIABLE, Settings, variable_of
from services.temporal_server import SEARCH_ATTRIBUTES
from workflows import calls

ROOT = Path(__file__).parents[2]
ROOMS = ("contracts", "workflows", "activities", "agents", "mcp_servers", "services", "deploy", "tests", "docs")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
COMMAND = re.compile(r"\./patchwright ([a-z][a-z-]*)(?: ([a-z]+))?")
OPTION = re.compile(r"\./patchwright ([a-z][a-z-]*)([^`\n]*)")
VARIABLE = re.compile(r"\b(?:PATCHWRIGHT|OPENAI)_[A-Z_]+[A-Z]\b")
OTHER_VARIABLES = {CONFIG_VARIABLE, "PATCHWRIGHT_OPENAI_BASE_URL", "PATCHWRIGHT_OPENAI_API_KEY"}
# Registries, and folders that only one machine has. In pieces, or this file would name them.
FOREIGN = re.compile(
    "|".join(
        (
            "pypi" + r"\.org",
            "pythonhosted" + r"\.org",
            "npmjs" + r"\.(org|com)",
            "artifact" + "ory",
            r"(?<![\w}])/ro" + "ot/",
            "/wo" + "rk/(main|shared)",
        )
    )
)


def tracked() -> list[Path]:
    """Every file of the repository, also those that are about to be added."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True
    )
    return [path for name in listed.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


PAGES = [path for path in tracked() if (path.suffix == ".md" and path.parent.name != "agents") or path.name == "README.md"]
TEXT = {path.relative_to(ROOT).as_posix(): path.read_text() for path in PAGES}


def anchors(page: str) -> set[str]:
    """The anchors a forge makes of a page's headings."""
    titles = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", TEXT)
def test_every_relative_link_leads_somewhere(name):
    for target in LINK.findall(TEXT[name]):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = (ROOT / name).parent / path if path else ROOT / name
        assert there.exists(), f"{target} leads nowhere"
        assert not anchor or anchor in anchors(there.read_text()), f"{target}: no such heading"


def commands() -> dict[str, set[str]]:
    """Every command of the command line, with its options and its sub-commands and theirs."""
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    return {name: _words(command) for name, command in group.commands.items()}


def _words(command) -> set[str]:
    inner = getattr(command, "commands", {})
    options = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    return options | set(inner) | {word for below in inner.values() for word in _words(below)}


def test_every_command_that_is_named_exists():
    known = commands()
    for name, page in TEXT.items():
        for command, inner in COMMAND.findall(page):
            assert command in known, f"{name}: there is no ./patchwright {command}"
            assert command != "config" or inner in known["config"], f"{name}: there is no ./patchwright config {inner}"


def test_every_command_is_listed_in_the_readme():
    table = TEXT["README.md"].split("## All commands")[1].split("\n## ")[0]
    listed = {words.split()[0] for words in re.findall(r"`([a-z][^`]*)`", table)}
    assert set(commands()) <= listed, f"the README leaves out {set(commands()) - listed}"


def test_every_metric_of_the_ledger_is_explained():
    page = TEXT["docs/operations/model-ledger.md"]
    told = LedgerMetrics().exposition().decode()
    metrics = {name for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", told, re.MULTILINE) if not name.endswith("_created")}
    assert len(metrics) > 5
    assert [name for name in metrics if f"`{name}`" not in page] == []


def test_every_field_of_a_provider_is_explained():
    page = TEXT["docs/operations/model-ledger.md"]
    assert [name for name in ModelProvider.model_fields if f"`{name}`" not in page] == []


def test_every_option_that_is_shown_exists():
    known, passed_on = commands(), {"test", "bench"}
    for name, page in TEXT.items():
        for command, rest in OPTION.findall(page):
            options = re.findall(r"(?<=\s)(--?[a-z][a-z0-9-]*)", re.sub(r'"[^"]*"|#.*', "", rest))
            if command not in passed_on:
                assert set(options) <= known[command], f"{name}: ./patchwright {command} takes no {set(options) - known[command]}"


def test_every_setting_that_is_named_exists():
    known = {variable_of(field) for field in Settings.model_fields} | OTHER_VARIABLES
    texts = TEXT | {
        name: (ROOT / name).read_text()
        for name in ("docker-compose.yaml", "deploy/service/Dockerfile", "deploy/compose.env.example")
    }
    for name, text in texts.items():
        for variable in VARIABLE.findall(text):
            assert variable.split("__")[0] in known, f"{name}: no setting is called {variable}"


def test_the_tables_are_what_the_code_says_today():
    assert doc_tables.pages()
    for page in doc_tables.pages():
        assert page.read_text() == doc_tables.filled(page.read_text()), "run: python -m services.doc_tables"


def test_no_field_of_a_table_is_left_unexplained():
    for name, made in doc_tables.TABLES.items():
        unexplained = [
            row.split("|")[1].strip() for row in made().splitlines() if row.startswith("|") and not row.split("|")[2].strip()
        ]
        assert not unexplained, f"{name}: write a docstring under {', '.join(unexplained)}"


def test_every_room_has_a_readme():
    for room in ROOMS:
        assert (ROOT / room / "README.md").is_file(), f"{room} has no README"
        assert f"({room}/" in TEXT["README.md"] or f"[{room}/]" in TEXT["README.md"], f"the README does not name {room}"


@pytest.mark.parametrize("room", ["contracts", "workflows", "activities", "services", "mcp_servers"])
def test_every_file_that_a_rooms_readme_names_exists(room):
    for file in re.findall(r"`([a-z_/]+\.py|[a-z_]+/)`", TEXT[f"{room}/README.md"]):
        assert (ROOT / room / file).exists(), f"{room}/README.md names {file}, which is not there"
    top = {path.name for path in (ROOT / room).glob("*.py")} - {"__init__.py"}
    if room in ("contracts", "workflows"):
        assert top - {"word.py"} <= set(re.findall(r"`([a-z_]+\.py)`", TEXT[f"{room}/README.md"])), "a file is not in the README"


def test_a_term_of_the_glossary_stands_there_once_and_in_order():
    terms = re.findall(r"^\| ([a-z][a-z ]*) \|", TEXT["docs/glossary.md"], re.MULTILINE)[1:]
    assert len(terms) == len(set(terms))
    assert terms == sorted(terms)


def test_every_state_and_search_attribute_is_told_to_operators():
    page = TEXT["docs/operations/running.md"]
    for state in TaskState:
        assert f"`{state.value}`" in page
        assert f"`{state.value}`" in TEXT["docs/architecture.md"]
    for name in SEARCH_ATTRIBUTES:
        assert f"`{name}`" in page


def test_every_activity_is_in_the_architecture():
    for call in (value for value in vars(calls).values() if isinstance(value, calls.Call)):
        assert f"| `{call.name}` |" in TEXT["docs/architecture.md"]


def test_every_decision_is_listed_and_numbered_once():
    pages = sorted(path.name for path in (ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    assert [name[:4] for name in pages] == [f"{number:04}" for number in range(1, len(pages) + 1)]
    for name in pages:
        assert f"]({name})" in TEXT["docs/decisions/README.md"]


def test_no_file_names_a_registry_or_a_folder_of_one_machine():
    for path in tracked():
        if path != Path(__file__):
            found = FOREIGN.search(path.read_text(errors="replace"))
            assert not found, f"{path.relative_to(ROOT)} names {found[0]}"
