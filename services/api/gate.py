"""What every request passes before an endpoint sees it: host, identity, right, limits, size, origin. And what answers carry."""

import math
from collections.abc import Collection
from ipaddress import ip_address
from urllib.parse import parse_qs, urlencode, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from contracts.access import Principal
from contracts.errors import PatchwrightError
from services.access.access import Access
from services.access.authorising import Authoriser, RouteRules
from services.api.problems import ErrorPage, RequestRefused, expected, refusal, shown, wants_html
from services.api.sessions import Sessions

MAX_BODY_BYTES = 1 << 20
SHOWING_WHO = frozenset({"/docs", "/login"})
"""Open pages that look different to somebody who is signed in."""
ASSETS = "/assets/"
ONCE = (b"authorization", b"host", b"content-length", b"content-type", b"origin", b"sec-fetch-site", b"x-csrf-token")
"""Headers of which two would be read differently by us and by whatever stands before us."""
WEBHOOKS = "/webhooks/"
"""What comes here proves itself by a signature over its bytes."""
MAX_WEBHOOK_BYTES = 26 << 20
"""GitHub sends up to 25 MB."""
MAX_LARGE_BYTES = 8 * MAX_WEBHOOK_BYTES
"""Of all bodies over 1 MiB that are being read at once: nobody has proved anything yet, and memory is everybody's."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
                               "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: under that, browsers send our own forms with "Origin: null", and no origin can be checked.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Gate:
    """ASGI middleware around the whole service."""

    def __init__(self, app: ASGIApp, access: Access, sessions: Sessions, authoriser: Authoriser, error_page: ErrorPage,
                 allowed_hosts: Collection[str] = ()) -> None:
        self._app = app
        self._access = access
        self._authoriser = authoriser
        self._rules = RouteRules()
        self._error_page = error_page
        self._sessions = sessions
        self._hosts = {"localhost", *(host.lower() for host in allowed_hosts)}
        self._large_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            # There is none, and nobody would be asked who they are.
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        scope.setdefault("state", {}).update(principal=None, form_token="")
        guarded = _with_headers(send, private=not scope["path"].startswith(ASSETS))
        try:
            body = await self._admitted(request)
        except RequestRefused as refused:
            await self._refuse(refused, request)(scope, receive, guarded)
            return
        except PatchwrightError as failure:
            answer = shown(expected(failure, request.url.path), request, self._error_page)
            await answer(scope, receive, guarded)
            return
        await self._app(scope, _replayed(body, receive), guarded)

    async def _admitted(self, request: Request) -> bytes:
        """The body of a request that may go on. Raises ``RequestRefused`` and ``PatchwrightError``."""
        self._check_host(request)
        _check_headers(request)
        found = self._rules.find(request.app.routes, request.scope)
        rule, parameters = found or (None, {})
        if rule is not None and rule.right is None:
            await self._recognise(request)
            return await self._whole_body(request)
        principal, cookie = await self._identified(request)
        self._check_rate(principal)
        if found:
            await self._authoriser.check(principal, rule, parameters)
        body = await self._whole_body(request)
        if cookie and request.method not in SAFE_METHODS:
            check_same_origin(request)
            if not self._sessions.is_form_token(cookie, offered_form_token(request, body)):
                raise RequestRefused(403, "The form is too old or not ours; reload the page and send it again.")
        return body

    def _check_host(self, request: Request) -> None:
        """A name that somebody else's DNS points at us must not work in a browser (DNS rebinding)."""
        host = request.headers.get("host", "").lower()
        name = host if host.endswith("]") else host.rsplit(":", 1)[0]
        if name not in self._hosts and "*" not in self._hosts and not _is_address(name):
            raise RequestRefused(421, f"This service does not answer to the host {name!r}; use the address it was started with.")

    async def _recognise(self, request: Request) -> None:
        """On an open page: who is signed in, if anybody."""
        if request.url.path in SHOWING_WHO and (cookie := self._sessions.cookie(request)):
            self._signed_in(request, await self._access.identities.of_cookie(cookie), cookie)

    async def _identified(self, request: Request) -> tuple[Principal, str]:
        """Who asks, and the cookie that said so. A bearer token decides alone: a wrong one is not made good by a cookie."""
        kind, _, offered = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            principal = await token_holder(self._access, request, offered.strip())
            self._signed_in(request, principal, "")
            return principal, ""
        cookie = self._sessions.cookie(request)
        if (principal := await self._access.identities.of_cookie(cookie)) is None:
            raise unauthorised("Send a token as 'Authorization: Bearer TOKEN'.")
        self._signed_in(request, principal, cookie)
        return principal, cookie

    def _signed_in(self, request: Request, principal: Principal | None, cookie: str) -> None:
        if principal is not None:
            token = self._sessions.form_token(cookie) if cookie else ""
            request.scope["state"].update(principal=principal, form_token=token)

    def _check_rate(self, principal: Principal) -> None:
        if waits := self._access.rate.wait(principal.name.casefold()):
            raise RequestRefused(429, f"{principal.name} asks for more than this service gives one person; wait a moment.",
                                 headers={"Retry-After": str(math.ceil(waits))})

    async def _whole_body(self, request: Request) -> bytes:
        limit = MAX_WEBHOOK_BYTES if _is_webhook(request) else MAX_BODY_BYTES
        declared = request.headers.get("content-length", "0")
        body, held = bytearray(), 0
        if declared.isdecimal() and int(declared[:20]) > limit:
            raise _too_large(limit)
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise _too_large(limit)
                if len(body) > MAX_BODY_BYTES:
                    held, self._large_bytes = len(body), self._large_bytes + len(body) - held
                    if self._large_bytes > MAX_LARGE_BYTES:
                        raise RequestRefused(429, "Too many large bodies come in at once; send it again in a moment.",
                                             headers={"Retry-After": "10", "Connection": "close"})
            return bytes(body)
        finally:
            self._large_bytes -= held

    def _refuse(self, refused: RequestRefused, request: Request) -> Response:
        if refused.status == 401 and request.method == "GET" and wants_html(request):
            where = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/login?{urlencode({'next': where})}", 303)
        return shown(refusal(refused, request.url.path), request, self._error_page)


def _is_address(name: str) -> bool:
    """Whether the host is an IP address: no DNS was asked, so none can have lied."""
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def check_same_origin(request: Request) -> None:
    """Refuse what another site's page sends with our cookie."""
    fetch_site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    same = fetch_site in (None, "same-origin") and (origin is None or urlsplit(origin).netloc == request.headers.get("host"))
    if not same or (fetch_site is None and origin is None):
        raise RequestRefused(403, "This request came from another site's page; use the service's own pages or its token.")


def offered_form_token(request: Request, body: bytes) -> str:
    """What a request carries to show that one of our own pages made it."""
    if header := request.headers.get("x-csrf-token"):
        return header
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        return ""
    return parse_qs(body.decode("utf-8", "replace")).get("form_token", [""])[0]


async def token_holder(access: Access, request: Request, offered: str) -> Principal:
    """Whom a token stands for. Raises ``RequestRefused``: 401, or 429 where somebody seems to guess."""
    refuse_guessing(access, request, offered)
    address = _address(request)
    if (principal := await access.identities.of_token(offered)) is None:
        access.failed_logins.failed(address)
        raise unauthorised("The token opens nothing: it is wrong, expired or revoked. Ask an administrator for another one.")
    access.failed_logins.worked(address, offered)
    return principal


def refuse_guessing(access: Access, request: Request, offered: str) -> None:
    """Raises ``RequestRefused`` 429 after too many wrong tokens; what is offered is then not looked at."""
    if waits := access.failed_logins.wait(_address(request), offered):
        raise RequestRefused(429, "Too many wrong tokens came from your address; wait, then try again.",
                             headers={"Retry-After": str(math.ceil(waits))})


def refuse_haste(access: Access, request: Request) -> None:
    """Raises ``RequestRefused`` 429 when an address begins to sign in too often."""
    if waits := access.beginnings.wait(_address(request)):
        raise RequestRefused(429, "Your address begins to sign in too often; wait a moment.",
                             headers={"Retry-After": str(math.ceil(waits))})


def unauthorised(detail: str) -> RequestRefused:
    """Nobody is known to ask."""
    return RequestRefused(401, detail, headers={"WWW-Authenticate": 'Bearer realm="patchwright"'})


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _check_headers(request: Request) -> None:
    names = [name for name, _ in request.scope["headers"]]
    for name in ONCE:
        if names.count(name) > 1:
            raise RequestRefused(400, f"The header {name.decode()} stands in the request more than once; send it once.")


def _is_webhook(request: Request) -> bool:
    return request.method == "POST" and request.scope["path"].startswith(WEBHOOKS)


def _too_large(limit: int) -> RequestRefused:
    return RequestRefused(413, f"The body is larger than {limit} bytes; shorten it or link to the rest.",
                          headers={"Connection": "close"})


def _replayed(body: bytes, receive: Receive) -> Receive:
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again


def _with_headers(send: Send, private: bool) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
            if private:
                headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return guarded
