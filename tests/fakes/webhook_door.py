"""The service with webhooks configured, over real stores and a recording Temporal, and what it makes of what comes in."""

import hashlib
import hmac
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from activities.stores.delivery_store import DeliveryStore
from services import wiring
from services.api.app import create_app
from services.inbox.inbox import Inbox
from services.settings import IsolatedSettings
from tests.fakes.service import FixedDiff, Service, open_service

OLD, NEW = "an-old-webhook-secret", "a-new-webhook-secret"
SIGNING = "whsec_" + b64encode(b"k" * 32).decode()
FORGES = {
    "github.com": {"kind": "github", "app_id": "7", "app_key_file": "/none"},
    "gitlab.example.com": {"kind": "gitlab", "token_file": "/none"},
}
TICKETS = {"repositories": {"jira:ENG": "/srv/eng.git", "linear:ENG": "/srv/eng.git"}, "assignees": ["patchwright-bot"]}


def signed(secret: str, body: bytes) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


class Door:
    """The service with webhooks configured, and what it makes of them."""

    def __init__(self, service: Service, settings: IsolatedSettings) -> None:
        self.service, self.settings = service, settings
        self.store = DeliveryStore(service.database)
        self.inbox = self.another_process()
        secrets = wiring.webhook_secrets(settings)
        keys = wiring.signing_keys(settings)
        self.app = create_app(service.tasks, service.access, FixedDiff(), keys=keys, inbox=self.inbox, webhook_secrets=secrets)
        transport = httpx2.ASGITransport(self.app, raise_app_exceptions=False)
        self.http = httpx2.AsyncClient(transport=transport, base_url="http://localhost")

    def another_process(self) -> Inbox:
        kept = wiring.Stores(self.service.runs, None, self.service.tasks.artifacts, self.store, None, None)  # type: ignore[arg-type]
        return wiring.inbox(self.settings, kept, self.service.tasks)

    async def post(self, kind: str, body: bytes | str, headers: dict[str, str] | list[tuple[bytes, bytes]]) -> httpx2.Response:
        content = body.encode() if isinstance(body, str) else body
        return await self.http.post(f"/webhooks/{kind}", content=content, headers=headers)

    async def github(self, event: str, told: Any, delivery: str = "", secret: str = NEW) -> httpx2.Response:
        body = json.dumps(told).encode()
        headers = {"X-GitHub-Event": event, "X-Hub-Signature-256": signed(secret, body), "Content-Type": "application/json"}
        return await self.post("github", body, headers | ({"X-GitHub-Delivery": delivery} if delivery else {}))

    async def carried_out(self) -> None:
        while await self.inbox.carry_out():
            pass

    @property
    def told(self) -> list[str]:
        """The tasks that were told that their forge changed, once for each time."""
        return [name for name, door, _ in self.service.temporal.said if door == "forge_changed"]

    async def kept(self) -> list[tuple[str, str, str]]:
        """Every stored delivery: kind, state, reason."""
        async with self.service.database.reading() as connection:
            rows = await connection.exec_driver_sql("SELECT kind, state, reason FROM deliveries ORDER BY number")
            return [tuple(row) for row in rows]


def configured(folder: Path, **more: Any) -> IsolatedSettings:
    """Settings with two secrets for each kind of sender, and a signing token for GitLab."""
    for name, secret in {"old": OLD, "new": NEW, "signing": SIGNING}.items():
        (folder / name).write_text(secret + "\n")
    two = [{"file": str(folder / "old")}, {"file": str(folder / "new")}]
    webhooks = {kind: {"secrets": two} for kind in ("github", "jira", "linear")}
    webhooks["gitlab"] = {"secrets": [*two, {"file": str(folder / "signing")}]}
    return IsolatedSettings(data_dir=folder / "data", **{"webhooks": webhooks, "forges": FORGES, "tickets": TICKETS, **more})


@asynccontextmanager
async def open_door(folder: Path, **more: Any) -> AsyncIterator[Door]:
    """A service on a fresh database."""
    service = await open_service(folder)
    made = Door(service, configured(folder, **more))
    yield made
    await made.http.aclose()
    await service.database.close()
