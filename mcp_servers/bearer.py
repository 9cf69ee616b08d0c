"""The door of a server over HTTP: only who has a token comes through, and the server knows which of them it is."""

import hmac
from collections.abc import Mapping

from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as ConnectionScope

from contracts.errors import InvalidInput

WHO = "patchwright.who"
"""Where a connection's scope says whose token came with it."""


class KnownOnly:
    """Lets a request through only with the bearer token of somebody known, and says who it is. Nobody can name himself.

    ``/healthz`` is open and says no more than that somebody is there.
    """

    refusal = "Send your own token as 'Authorization: Bearer TOKEN'."

    def __init__(self, app: ASGIApp, tokens: Mapping[str, str]) -> None:
        """``tokens``: each holder's own by its name."""
        self._app = app
        self._expected = {who: f"Bearer {token}".encode() for who, token in tokens.items()}

    async def __call__(self, scope: ConnectionScope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["path"] == "/healthz":
            await JSONResponse({"status": "ok"})(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"authorization", b"")
        known = [who for who, expected in self._expected.items() if hmac.compare_digest(given, expected)]
        if known:
            await self.admit({**scope, WHO: known[0]}, receive, send)
            return
        refused = PlainTextResponse(self.refusal, status_code=401, headers={"www-authenticate": "Bearer"})
        await refused(scope, receive, send)

    async def admit(self, scope: ConnectionScope, receive: Receive, send: Send) -> None:
        """Answer somebody who is known."""
        await self._app(scope, receive, send)


class BearerOnly(KnownOnly):
    """Lets a request through only with the server's one token; ``/program`` tells the digest of the server's own code."""

    refusal = "Send the server's token as 'Authorization: Bearer TOKEN'."

    def __init__(self, app: ASGIApp, token: str, program: str = "") -> None:
        """``program``: the digest, as the lock names it. Raises ``InvalidInput`` for an empty token, which everybody has."""
        if not token:
            raise InvalidInput("The token is empty; give the server a random one.")
        super().__init__(app, {"": token})
        self._program = program

    async def admit(self, scope: ConnectionScope, receive: Receive, send: Send) -> None:
        """Answer somebody who has the token."""
        if scope["path"] == "/program":
            await PlainTextResponse(self._program)(scope, receive, send)
            return
        await super().admit(scope, receive, send)
