"""``policy``: is it sound, what does it say about a deed, and does it say what its author meant."""

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from pydantic import ValidationError
from rich.markup import escape

from contracts.deciding import decide
from contracts.deeds import DEED, Decision, Deed
from contracts.errors import InvalidInput
from contracts.policy import Policy, narrowed
from contracts.policy_document import document_of, narrowing_of
from services import settings as configuration
from services.cli.screen import AsJson, Url, print_json, screen
from services.cli.service import connect
from services.policies import REPOSITORY_FILE, OrganisationPolicy, read_policy, read_repository_policy, read_yaml

POSITIONS = {
    "tool": ("role", "tool"),
    "write": ("path",),
    "host": ("host",),
    "command": ("role", "command"),
    "publish": ("step",),
    "spend": ("model_calls", "cost_usd"),
}
"""The words of each deed on a command line."""
VERDICTS = {"allowed": True, "refused": False}
EXAMPLE = """deeds:
  - {deed: write, path: src/a.py, expect: allowed}
  - {deed: tool, role: planner, tool: write_file, expect: refused}"""

policy = typer.Typer(help="What tasks may do.", no_args_is_help=True)

File = Annotated[
    Path | None,
    typer.Option("--policy", help="The organisation's policy.", show_default="the settings' policy_file and default_policy"),
]
Repository = Annotated[
    Path | None, typer.Option(help=f"The repository's {REPOSITORY_FILE}.", show_default="the one in this folder, if any")
]
OfTask = Annotated[Path | None, typer.Option("--task", help="What a request asks for, as YAML in sections.", show_default=False)]


@policy.callback()
def _policy() -> None:
    """What tasks may do."""


@policy.command()
def validate(
    files: Annotated[list[Path], typer.Argument(help=f"Policy files; of a {REPOSITORY_FILE} its `policy:` is read.")],
) -> None:
    """Read policies as the service would, and say what is wrong with them.

    Ends with 2 when one cannot be used, naming the key.
    """
    for file in files:
        read = _read(file)
        screen.print(f"[green]ok[/] {escape(str(file))} {read.sha256}", soft_wrap=True)


@policy.command()
def explain(
    deed: Annotated[
        list[str] | None,
        typer.Argument(
            help="; ".join(f"{kind} {' '.join(words).upper()}" for kind, words in POSITIONS.items()), show_default=False
        ),
    ] = None,
    organisation: File = None,
    repository: Repository = None,
    task: OfTask = None,
    as_json: AsJson = False,
) -> None:
    """Say what the merged policy is, or whether it allows a deed, and by which rule.

    ./patchwright policy explain tool planner write_file

    ./patchwright policy explain write .github/workflows/ci.yml

    Ends with 1 when the deed is refused.
    """
    layers = _layers(organisation, repository, task)
    merged = _merged(layers)
    if not deed:
        told = {"sha256": merged.sha256, "layers": list(layers), "policy": document_of(merged)}
        print_json(told) if as_json else screen.print(yaml.safe_dump(told, sort_keys=False), markup=False, end="")
        return
    asked = _said(deed)
    decision = decide(merged, asked)
    if as_json:
        print_json({"policy_sha256": merged.sha256, "deed": asked.model_dump(), **decision.model_dump()})
    else:
        screen.print(f"{_verdict(decision)} by [bold]{decision.rule}[/]: {escape(decision.reason)}", soft_wrap=True)
        for name, layer in layers.items():
            alone = decide(layer, asked)
            screen.print(f"  {escape(name)}: {_verdict(alone)} by {alone.rule}", soft_wrap=True)
    raise typer.Exit(0 if decision.allowed else 1)


@policy.command()
def test(
    file: Annotated[Path, typer.Argument(help="YAML: `deeds`, each with `expect: allowed` or `refused`, perhaps a `rule`.")],
    organisation: File = None,
    repository: Repository = None,
    task: OfTask = None,
) -> None:
    """Hold the merged policy against deeds and the verdicts that its author expects.

    Ends with 1 when one is judged otherwise.
    """
    merged = _merged(_layers(organisation, repository, task))
    cases = _cases(file)
    wrong = [told for number, case in enumerate(cases, 1) if (told := _misjudged(merged, case, f"{file}: deed {number}"))]
    for told in wrong:
        screen.print(f"[red]wrong[/] {escape(told)}", soft_wrap=True)
    screen.print(f"{len(cases) - len(wrong)} of {len(cases)} deeds are judged as expected.")
    raise typer.Exit(1 if wrong else 0)


@policy.command()
def reload(as_json: AsJson = False, url: Url = "") -> None:
    """Let the running service read its policy file again; tasks that were accepted before keep theirs."""
    told = connect(url).post("/policy/reload")
    print_json(told) if as_json else screen.print(f"The policy is {told['sha256']} now.", soft_wrap=True)


def _read(file: Path) -> Policy:
    return read_repository_policy(file) if file.name == REPOSITORY_FILE else read_policy(file)


def _layers(organisation: Path | None, repository: Path | None, task: Path | None) -> dict[str, Policy]:
    """Each layer alone by name, the widest first."""
    settings = configuration.load()
    own = OrganisationPolicy(organisation or settings.policy_path, Policy() if organisation else settings.default_policy)
    layers = {"organisation": own.current}
    here = repository or Path(REPOSITORY_FILE)
    if repository or here.is_file():
        layers[f"repository ({here})"] = read_repository_policy(here)
    if task:
        layers[f"task ({task})"] = narrowing_of(read_yaml(task), str(task))
    return layers


def _merged(layers: dict[str, Policy]) -> Policy:
    first, *others = layers.values()
    for layer in others:
        first = narrowed(first, layer)
    return first


def _said(words: list[str]) -> Deed:
    kind, *given = words
    if kind not in POSITIONS or len(given) > len(POSITIONS[kind]):
        known = "; ".join(f"{kind} {' '.join(names).upper()}" for kind, names in POSITIONS.items())
        raise InvalidInput(f"{' '.join(words)!r} is no deed. Write one of: {known}.")
    return _deed({"deed": kind, **dict(zip(POSITIONS[kind], given, strict=False))}, " ".join(words))


def _deed(told: dict[str, Any], where: str) -> Deed:
    try:
        return DEED.validate_python(told)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"{where}: {place or 'deed'}: {first['msg']}.") from None


def _cases(file: Path) -> list[dict[str, Any]]:
    document = read_yaml(file)
    cases = document.get("deeds") if isinstance(document, dict) else None
    if not isinstance(cases, list) or not cases or not all(isinstance(case, dict) for case in cases):
        raise InvalidInput(f"{file} must have a list of deeds, for example:\n{EXAMPLE}")
    return cases


def _misjudged(merged: Policy, case: dict[str, Any], where: str) -> str:
    """What is otherwise than expected; empty when nothing is."""
    expect, rule = case.get("expect"), case.get("rule", "")
    if expect not in VERDICTS:
        raise InvalidInput(f"{where}: expect must be allowed or refused.")
    told = {key: value for key, value in case.items() if key not in ("expect", "rule")}
    decision = decide(merged, _deed(told, where))
    if decision.allowed == VERDICTS[expect] and rule in ("", decision.rule):
        return ""
    judged = "allowed" if decision.allowed else "refused"
    return f"{where} {told} is {judged} by {decision.rule}, not {expect}{f' by {rule}' if rule else ''}: {decision.reason}"


def _verdict(decision: Decision) -> str:
    return "[green]allowed[/]" if decision.allowed else "[red]refused[/]"
