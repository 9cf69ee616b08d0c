"""``token create|list|revoke``, ``login`` and ``whoami``: who may come in."""

from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from contracts.access import Role
from contracts.errors import InvalidInput
from services.cli.screen import AsJson, Url, errors, print_json, screen
from services.cli.service import connect

token = typer.Typer(no_args_is_help=True, help="Make, list and revoke tokens; for administrators.", rich_markup_mode="rich")


@token.command()
def create(
    person: Annotated[str, typer.Argument(help="Whom it stands for: an address, a login, or what a machine is called.")],
    role: Annotated[list[Role], typer.Option("--role", "-r", help="May be repeated.", show_default=False)],
    repo: Annotated[
        list[str] | None,
        typer.Option("--repo", help="A repository as tickets name it, * for anything; may be repeated. Without: all.",
                     show_default=False),
    ] = None,
    days: Annotated[float, typer.Option(min=0.0001, max=3_650, help="Days until it expires.")] = 90,
    note: Annotated[str, typer.Option(help="What it is for.", show_default=False)] = "",
    as_json: AsJson = False,
    url: Url = "",
) -> None:
    """Make a token. It is shown this once: only a digest of it is kept.

    ./patchwright token create ada@example.com --role submitter --role reviewer --repo 'https://git.example.com/shop/*'
    """
    body = {"person": person, "roles": [one.value for one in role], "repositories": repo or [], "days": days, "note": note}
    made = connect(url).post("/tokens", body)
    if as_json:
        print_json(made)
        return
    errors.print(f"Token {made['token']['id']} for {person}, until {_moment(made['token']['expires_at'])}. "
                 "Keep it: it is shown this once.", markup=False, soft_wrap=True)
    # By itself on the standard output, so that it can go straight into a file.
    typer.echo(made["secret"])


@token.command("list")
def list_tokens(
    every: Annotated[bool, typer.Option("--all", help="Those that expired or were revoked, too.")] = False,
    as_json: AsJson = False,
    url: Url = "",
) -> None:
    """Show tokens: whom they stand for, what they are good for, and when they were used last."""
    from datetime import UTC, datetime

    found = connect(url).get("/tokens")["tokens"]
    now = datetime.now(UTC)
    shown = [one for one in found if every or (not one["revoked_at"] and datetime.fromisoformat(one["expires_at"]) > now)]
    if as_json:
        print_json(shown)
    elif shown:
        screen.print(_table(shown))
    else:
        screen.print("There are no tokens but the service's own. Make one: ./patchwright token create PERSON --role ROLE")


@token.command()
def revoke(
    token_id: Annotated[str, typer.Argument(metavar="[ID]", help="The token's id, as `token list` shows it.")] = "",
    person: Annotated[str, typer.Option(help="Instead: every token and session of a person.", show_default=False)] = "",
    as_json: AsJson = False,
    url: Url = "",
) -> None:
    """End a token at once, with the sessions it opened; or everything of a person."""
    if bool(token_id) == bool(person):
        raise InvalidInput("name a token's id, or --person NAME")
    if person:
        ended = connect(url).post("/revocations", {"person": person})
        told = f"Ended {ended['tokens']} tokens and {ended['sessions']} sessions of {person}."
    else:
        if not token_id.isascii() or not token_id.isalnum():
            raise InvalidInput(f"{token_id!r} is no token's id; see ./patchwright token list")
        ended = connect(url).delete(f"/tokens/{token_id}")
        told = f"Revoked the token {token_id} of {ended['person']}."
    if as_json:
        print_json(ended)
    else:
        screen.print(told, markup=False, soft_wrap=True)


def login(as_json: AsJson = False, url: Url = "") -> None:
    """Print a link that signs a browser in: once, within ten minutes."""
    made = connect(url).post("/me/links")
    if as_json:
        print_json(made)
    else:
        typer.echo(made["url"])


def whoami(as_json: AsJson = False, url: Url = "") -> None:
    """Show whom our token stands for, and what it is good for."""
    who = connect(url).get("/me")
    if as_json:
        print_json(who)
        return
    where = ", ".join(who["repositories"]) or "all repositories"
    until = f", until {_moment(who['expires_at'])}" if who["expires_at"] else ""
    screen.print(f"[bold]{escape(who['name'])}[/]: {', '.join(who['roles'])}; {escape(where)}{until}", soft_wrap=True)


def _table(tokens: list[dict[str, Any]]) -> Table:
    table = Table("id", "person", "roles", "repositories", "until", "last used", "note", box=None, pad_edge=False,
                  header_style="bold")
    for one in tokens:
        until = "revoked" if one["revoked_at"] else _moment(one["expires_at"])
        used = _moment(one["last_used_at"]) if one["last_used_at"] else "never"
        table.add_row(one["id"], escape(one["person"]), ", ".join(one["roles"]), escape(", ".join(one["repositories"]) or "all"),
                      until, used, escape(one["note"]))
    return table


def _moment(told: str) -> str:
    return told[:16].replace("T", " ") + " UTC"
