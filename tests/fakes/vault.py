"""HashiCorp's vault over its HTTP wire: key-value version 2, tokens that end, AppRoles, policies by path, and a seal."""

import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from services.serving import address_of, listening, serving

ROLE, SECRET_ID = "a0b1c2d3-role", "f9e8d7c6-secret-id-4b5a"


@dataclass
class Token:
    """One token: until when it lives, and how long it may be renewed in all."""

    ends: float
    ttl: float
    last: float
    """No renewal goes beyond this moment; 0: any may."""
    renewable: bool = True
    policies: tuple[str, ...] = ("patchwright",)


@dataclass
class Vault:
    """The vault. Its time goes as the test says."""

    now: float = 0.0
    ttl: float = 600.0
    longest: float = 0.0
    """Seconds that a token of the AppRole may live in all; 0: without end."""
    namespace: str = ""
    sealed: bool = False
    secret_id: str = SECRET_ID
    tokens: dict[str, Token] = field(default_factory=dict)
    kept: dict[str, list[dict[str, str] | None]] = field(default_factory=dict)
    """Mount and path → versions; None for a deleted one."""
    forbidden: set[str] = field(default_factory=set)
    asked: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""

    def write(self, place: str, **values: str) -> None:
        """A new version at ``MOUNT/PATH``."""
        self.kept.setdefault(place, []).append(values)

    def issue(self, ttl: float = 0, renewable: bool = True) -> str:
        """A token, as an operator makes one; without a ttl it lives for ever."""
        name = f"hvs.{secrets.token_urlsafe(20)}"
        self.tokens[name] = Token(self.now + ttl if ttl else float("inf"), ttl, 0, renewable)
        return name

    def calls(self, path: str) -> int:
        """How often a path was asked for."""
        return sum(asked == path for _, asked in self.asked)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (message := await receive())["type"] != "lifespan.shutdown":
                await send({"type": f"{message['type']}.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        path = scope["path"].removeprefix("/v1/")
        self.asked.append((scope["method"], path))
        status, told = self._answer(scope["method"], path, headers, json.loads(body) if body else {})
        content = json.dumps({"request_id": "r", "lease_id": "", "renewable": False, "lease_duration": 0, **told}).encode()
        answered = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": answered})
        await send({"type": "http.response.body", "body": content})

    def _answer(self, method: str, path: str, headers: dict[str, str], body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.sealed:
            return 503, {"errors": ["Vault is sealed"]}
        if headers.get("x-vault-namespace", "") != self.namespace or headers.get("x-vault-request") != "true":
            return 404, {"errors": ["no handler for route"]}
        if (method, path) == ("POST", "auth/approle/login"):
            return self._login(body)
        name = headers.get("x-vault-token", "")
        token = self.tokens.get(name)
        if token is None or token.ends <= self.now:
            return 403, {"errors": ["permission denied"]}
        match method, path:
            case "GET", "auth/token/lookup-self":
                ttl = 0 if token.ends == float("inf") else int(token.ends - self.now)
                return 200, {"data": {"id": name, "ttl": ttl, "renewable": token.renewable, "policies": token.policies}}
            case "POST", "auth/token/renew-self":
                return self._renew(name, token)
            case "POST", "auth/token/revoke-self":
                del self.tokens[name]
                return 204, {}
            case "GET", _:
                return self._read(path)
        return 405, {"errors": ["unsupported operation"]}

    def _login(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if body.get("role_id") != ROLE or body.get("secret_id") != self.secret_id:
            return 400, {"errors": ["invalid role or secret ID"]}
        name = f"hvs.{secrets.token_urlsafe(20)}"
        last = self.now + self.longest if self.longest else 0
        self.tokens[name] = Token(self.now + self.ttl, self.ttl, last)
        return 200, self._auth(name, self.tokens[name])

    def _renew(self, name: str, token: Token) -> tuple[int, dict[str, Any]]:
        if not token.renewable:
            return 400, {"errors": ["token is not renewable"]}
        token.ends = self.now + token.ttl
        if token.last:
            token.ends = min(token.ends, token.last)
        return 200, self._auth(name, token)

    def _auth(self, name: str, token: Token) -> dict[str, Any]:
        lease = int(token.ends - self.now)
        return {"auth": {"client_token": name, "accessor": "acc", "policies": list(token.policies), "lease_duration": lease,
                         "renewable": token.renewable, "token_type": "service"}}

    def _read(self, path: str) -> tuple[int, dict[str, Any]]:
        mount, _, rest = path.partition("/data/")
        place = f"{mount}/{rest}"
        if place in self.forbidden:
            return 403, {"errors": ["1 error occurred:\n\t* permission denied\n\n"]}
        versions = self.kept.get(place)
        if not versions:
            return 404, {"errors": []}
        told = {"version": len(versions), "destroyed": False, "deletion_time": "" if versions[-1] else "2026-01-01T00:00:00Z"}
        return (200 if versions[-1] else 404), {"data": {"data": versions[-1], "metadata": told}}


@asynccontextmanager
async def vault(**told: Any) -> AsyncIterator[Vault]:
    """A vault on a free loopback port while the block runs."""
    made = Vault(**told)
    with listening("127.0.0.1", 0, "") as sock:
        async with serving(made, sock):
            made.url = address_of("127.0.0.1", sock)
            yield made
