"""What every request passes before an endpoint sees it: host, size, identity, origin. And what every answer carries."""

from collections.abc import Collection
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from urllib.parse import parse_qs, parse_qsl, quote, urlencode, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.problems import ErrorPage, RequestRefused, refusal, shown, wants_html
from services.api.sessions import Sessions

MAX_BODY_BYTES = 1 << 20
OPEN_PATHS = frozenset({"/healthz", "/readyz", "/openapi.json", "/docs", "/login", "/favicon.ico"})
OPEN_FOLDER = "/assets/"
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

    def __init__(self, app: ASGIApp, sessions: Sessions, error_page: ErrorPage, allowed_hosts: Collection[str] = ()) -> None:
        self._app = app
        self._error_page = error_page
        self._sessions = sessions
        self._hosts = {"localhost", *(host.lower() for host in allowed_hosts)}
        self._large_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        guarded = _with_headers(send, private=not scope["path"].startswith(OPEN_FOLDER))
        try:
            self._check_host(request)
            if answer := self._entrance(request):
                await answer(scope, receive, guarded)
                return
            body = await self._whole_body(request)
            self._check_identity(request, body)
        except RequestRefused as refused:
            await self._refuse(refused, request)(scope, receive, guarded)
            return
        await self._app(scope, _replayed(body, receive), guarded)

    def _check_host(self, request: Request) -> None:
        """A name that somebody else's DNS points at us must not work in a browser (DNS rebinding)."""
        host = request.headers.get("host", "").lower()
        name = host if host.endswith("]") else host.rsplit(":", 1)[0]
        if name not in self._hosts and "*" not in self._hosts and not _is_address(name):
            raise RequestRefused(421, f"This service does not answer to the host {name!r}; use the address it was started with.")

    def _entrance(self, request: Request) -> Response | None:
        """A link with the token lets a browser in once and takes the token out of the address."""
        offered = parse_qs(request.url.query).get("token")
        if request.method != "GET" or not offered or not self._sessions.is_token(offered[0]):
            return None
        rest = urlencode([(k, v) for k, v in parse_qsl(request.url.query, keep_blank_values=True) if k != "token"])
        path = "/" + quote(request.url.path.lstrip("/\\"))
        return self._sessions.let_in(request, f"{path}?{rest}" if rest else path)

    def _check_identity(self, request: Request, body: bytes) -> None:
        scope = request.scope
        cookie = _cookie(request, self._sessions.cookie)
        state = scope.setdefault("state", {})
        state["form_token"] = self._sessions.form_token(cookie) if cookie and self._sessions.is_open(cookie) else ""
        path = scope["path"]
        if path in OPEN_PATHS or path.startswith(OPEN_FOLDER) or _is_webhook(request):
            return
        kind, _, offered = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self._sessions.is_token(offered.strip()):
            return
        if not state["form_token"]:
            raise RequestRefused(401, "Send the service's token as 'Authorization: Bearer TOKEN'.",
                                 headers={"WWW-Authenticate": 'Bearer realm="patchwright"'})
        if request.method not in SAFE_METHODS:
            check_same_origin(request)
            if not self._sessions.is_form_token(cookie, _offered_form_token(request, body)):
                raise RequestRefused(403, "The form is too old or not ours; reload the page and send it again.")

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


def _offered_form_token(request: Request, body: bytes) -> str:
    if header := request.headers.get("x-csrf-token"):
        return header
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        return ""
    return parse_qs(body.decode("utf-8", "replace")).get("form_token", [""])[0]


def _cookie(request: Request, name: str) -> str:
    try:
        found = SimpleCookie(request.headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return found.value if found else ""


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
