"""Two tenants on one Temporal server and one Postgres: neither sees, reaches or opens anything of the other's."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx2
import pytest
from temporalio.client import Client

from activities.stores.access_store import AccessStore
from activities.stores.database import Database, open_database
from contracts.access import Role, TokenRequest
from services import embedded
from services.scripted_model.server import serve
from services.settings import IsolatedSettings
from services.temporal_server import TemporalServer
from tests.fakes.postgres import postgres_server
from tests.fakes.service import PERSON, access_to
from tests.fakes.stack import Service, WritesFiles, git, remote, settings_for

TICKET = {"source": {"system": "jira", "key": "ENG-1"}}


@dataclass
class Tenant:
    """One tenant's service."""

    name: str
    service: Service
    remote: Path
    settings: IsolatedSettings


@asynccontextmanager
async def tenants(folder: Path, temporal: TemporalServer, database_url: str) -> AsyncIterator[Sequence[Tenant]]:
    """Both, in one data folder, on one Temporal server and one database."""
    async with (
        serve(WritesFiles()) as model,
        # Tests share the Temporal server: with each database there are two tenants of their own.
        opened(folder, temporal, database_url, model, "north-pg" if database_url else "north") as north,
        opened(folder, temporal, database_url, model, "south-pg" if database_url else "south") as south,
    ):
        yield north, south


@asynccontextmanager
async def opened(folder: Path, temporal: TemporalServer, database_url: str, model, name: str) -> AsyncIterator[Tenant]:
    more = {"database_url": database_url} if database_url else {}
    settings = settings_for(folder / "data", model.base_url, tenant=name, temporal_address=temporal.address, **more)
    (folder / name).mkdir()
    async with embedded.stack(settings, scripted=True) as stack:
        headers = {"authorization": f"Bearer {stack.token}"}
        async with httpx2.AsyncClient(base_url=stack.url, headers=headers, timeout=60) as http:
            yield Tenant(name, Service(stack, http, model), remote(folder / name, {"app.py": "x = 1\n"}), settings)


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
async def test_neither_sees_anything_of_the_other_s(
    database: str, tmp_path: Path, temporal: TemporalServer, temporal_client: Client
) -> None:
    if database == "postgres":
        with postgres_server(tmp_path / "pg") as url:
            async with tenants(tmp_path, temporal, url) as both:
                await _kept_apart(tmp_path, both, temporal_client)
            await _schemas_apart(url, both)
    else:
        async with tenants(tmp_path, temporal, "") as both:
            await _kept_apart(tmp_path, both, temporal_client)


async def _kept_apart(folder: Path, both: Sequence[Tenant], outside: Client) -> None:
    north, south = both
    said = f"write notes.md: of {north.name}\nwrite tests/test_notes.py: def test_notes(): pass"
    task = await north.service.submit(north.remote, "A secret of the north", description=said, **TICKET)
    proposed = await north.service.until(task, "awaiting_review")
    await _nothing_seen(south, task, proposed)
    await _nothing_opened(north, south)
    # The same ticket is the same id, and yet another task.
    again = await south.service.submit(south.remote, "Of the south", description=said.replace("north", "south"), **TICKET)
    assert again == task
    theirs = await south.service.until(again, "awaiting_review")
    assert theirs["title"] == "Of the south" and theirs["pull_request"]["head_commit"] != proposed["pull_request"]["head_commit"]
    assert (await north.service.show(task))["title"] == "A secret of the north"
    await _signals_apart(north, south, task)
    await _histories_apart(outside, both, task)
    _folders_apart(folder, both)


async def _nothing_seen(stranger: Tenant, task: str, proposed: dict) -> None:
    http = stranger.service.http
    assert (await http.get("/tasks")).json()["tasks"] == [] and (await http.get("/prs")).json()["pull_requests"] == []
    sha = next(one["sha256"] for one in proposed["artifacts"])
    pull = proposed["pull_request"]["id"]
    for path in (f"/tasks/{task}", f"/tasks/{task}/events", f"/tasks/{task}/plan", f"/tasks/{task}/audit", f"/artifacts/{sha}",
                 f"/prs/{pull}", f"/prs/{pull}/diff", f"/t/{task}", f"/pr/{pull}"):
        assert (await http.get(path)).status_code == 404, path
    for deed in ("cancel", "pause", "resume", "close"):
        assert (await http.post(f"/tasks/{task}/signals/{deed}")).status_code == 404, deed
    said = {"verdict": "approve"}
    assert (await http.post(f"/tasks/{task}/signals/review", json=said)).status_code == 404


async def _nothing_opened(north: Tenant, south: Tenant) -> None:
    """No credential of one is one of the other's."""
    made = (await north.service.http.post("/tokens", json={"person": "bob", "roles": ["admin"]})).json()["secret"]
    link = (await north.service.http.post("/me/links")).json()["url"].split("#")[1]
    for secret in (north.service.stack.token, made, link):
        async with httpx2.AsyncClient(base_url=south.service.stack.url, headers={"authorization": f"Bearer {secret}"}) as http:
            assert (await http.get("/tasks")).status_code == 401
    async with httpx2.AsyncClient(base_url=north.service.stack.url, headers={"authorization": f"Bearer {made}"}) as http:
        assert (await http.get("/tasks")).status_code == 200
    assert (await south.service.http.get("/tokens")).json()["tokens"] == []


async def _signals_apart(north: Tenant, south: Tenant, task: str) -> None:
    await south.service.review(task, "approve")
    await south.service.until(task, "ready_to_merge")
    assert (await north.service.show(task))["state"] == "awaiting_review"
    heard = json.dumps(await north.service.events(task))
    assert "Of the south" not in heard and "A secret of the north" not in json.dumps(await south.service.events(task))


async def _histories_apart(outside: Client, both: Sequence[Tenant], task: str) -> None:
    for tenant in both:
        client = await Client.connect(outside.service_client.config.target_host, namespace=f"patchwright-{tenant.name}")
        assert [run.id async for run in client.list_workflows()] == [task]
    assert task not in [run.id async for run in outside.list_workflows()]


def _folders_apart(folder: Path, both: Sequence[Tenant]) -> None:
    for tenant in both:
        own = folder / "data" / "tenants" / tenant.name
        assert tenant.settings.data_dir == own
        mirrors = [path for path in (own / "mirrors").iterdir() if path.suffix == ".git" or (path / "HEAD").is_file()]
        assert len(mirrors) == 1 and git(mirrors[0], "cat-file", "-t", git(tenant.remote, "rev-parse", "main")) == "commit"
        assert (own / "token").is_file() and any((own / "artifacts").iterdir())
    left = {path.name for path in (folder / "data").iterdir()}
    assert left == {"tenants"}, "nothing is shared"


async def _schemas_apart(url: str, both: Sequence[Tenant]) -> None:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        for tenant in both:
            (title,) = await connection.fetchrow(f"SELECT task FROM tenant_{tenant.name.replace('-', '_')}.tasks")
            assert ("A secret of the north" in title) is tenant.name.startswith("north")
        assert not await connection.fetch("SELECT 1 FROM pg_tables WHERE schemaname = 'public'")
    finally:
        await connection.close()


async def test_a_token_s_row_is_worth_nothing_at_another_tenant(tmp_path: Path) -> None:
    database = await open_database(f"sqlite:///{tmp_path}/run.db")
    north, south = access_to(database, "north"), access_to(database, "south")
    token, secret = await north.store.make_token(TokenRequest(person="bob", roles=(Role.ADMIN,)), PERSON)
    _, cookie = await north.store.open_session(token.principal, f"token:{token.id}", north.rules.session)
    await north.store.begin_sign_in("key", {"a": 1}, north.rules.idle)
    for access, known in ((south, False), (north, True)):
        assert (await access.identities.of_token(secret) is not None) is known
        assert (await access.identities.of_cookie(cookie) is not None) is known
        assert (await access.store.finish_sign_in("key") is not None) is known
    await _moved(database)
    assert await south.identities.of_token(secret) is None, "a digest is bound to its tenant"
    await database.close()


async def _moved(database: Database) -> None:
    async with database.writing() as connection:
        await connection.exec_driver_sql("UPDATE access_tokens SET tenant = 'south'")
    assert len(await AccessStore(database, "south").tokens()) == 1


@pytest.mark.parametrize(("given", "named"), [
    ({"tenant": "north", "temporal_namespace": "shared"}, "namespace"),
    ({"tenant": "north", "database_url": "sqlite:////srv/shared.db"}, "SQLite"),
    ({"tenant": "north", "database_url": "postgresql://db/p?schema=tenant_south"}, "schema"),
    ({"tenant": "North"}, "tenant"), ({"tenant": "../south"}, "tenant"), ({"tenant": "a" * 40}, "tenant"),
    ({"tenant": "north", "ledger_database_url": "sqlite:////srv/ledger.db"}, "SQLite"),
])
def test_what_another_tenant_could_have_too_is_refused(given: dict[str, str], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        IsolatedSettings(**given)


def test_a_tenant_names_everything_that_is_its_own_once(tmp_path: Path) -> None:
    settings = IsolatedSettings(data_dir=tmp_path, tenant="north", database_url="postgresql://db/p")
    role = IsolatedSettings(**settings.plain())
    for told in (settings, role):
        assert told.data_dir == tmp_path / "tenants" / "north" and told.base_dir == tmp_path
        assert told.temporal_namespace == "patchwright-north" and told.database_url == "postgresql://db/p?schema=tenant_north"
        assert str(tmp_path / "tenants" / "north" / "ledger.db") in told.ledger_database_url
