"""Browsers that are signed in: the cookie, what a form must carry back, and the way in and out."""

import hashlib
import hmac
import secrets
from datetime import timedelta
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from activities.stores.access_store import AccessStore
from contracts.access import Principal

DOOR = timedelta(minutes=10)
"""How long somebody may take to sign in."""
LINK_LIFE = timedelta(minutes=10)


class Sessions:
    """Sessions are kept in the store, so that they can be ended there; the cookie is a random secret and says nothing."""

    def __init__(self, store: AccessStore, instance: str, lasting: timedelta) -> None:
        self.store = store
        # Cookies know no ports: two services on one machine must not overwrite each other's.
        self._name = hashlib.sha256(f"patchwright cookie {instance}".encode()).hexdigest()[:8]
        self._lasting = lasting

    def cookie(self, request: Request) -> str:
        """What the browser offers as its session; empty for nothing."""
        return _cookie(request, self._named(request, "session"))

    def form_token(self, cookie: str) -> str:
        """What a form of this session (or of this door) must carry back."""
        return hmac.digest(cookie.encode("utf-8", "replace"), b"patchwright form", "sha256").hex()

    def is_form_token(self, cookie: str, offered: str) -> bool:
        """Whether a form came from a page of this session."""
        return bool(cookie) and hmac.compare_digest(offered.encode("utf-8", "replace"), self.form_token(cookie).encode())

    # -- before anybody is signed in -------------------------------------------------------------------------

    def door(self, request: Request) -> str:
        """The secret that binds a sign-in to the browser that began it; empty before it began."""
        return _cookie(request, self._named(request, "door"))

    def at_the_door(self, request: Request, answer: Response, door: str) -> Response:
        """Let the browser remember that it began to sign in."""
        # Lax: it must come along when an identity provider sends the browser back.
        answer.set_cookie(self._named(request, "door"), door, max_age=int(DOOR.total_seconds()), httponly=True, samesite="lax",
                          secure=needs_https(request), path="/")
        return answer

    @staticmethod
    def new_door() -> str:
        """A secret for ``at_the_door``."""
        return secrets.token_urlsafe(32)

    # -- in and out ------------------------------------------------------------------------------------------

    async def let_in(self, request: Request, principal: Principal, answer: Response) -> Response:
        """Open a new session; whatever session the browser had before is ended, so that nobody can have planted it."""
        if before := self.cookie(request):
            await self.store.end_session(before)
        _, secret = await self.store.open_session(principal, principal.credential, self._lasting)
        answer.set_cookie(self._named(request, "session"), secret, max_age=int(self._lasting.total_seconds()), httponly=True,
                          samesite="strict", secure=needs_https(request), path="/")
        self._forget(request, answer, "door")
        return answer

    async def let_out(self, request: Request) -> Response:
        """End the session, here and in the browser."""
        await self.store.end_session(self.cookie(request))
        answer = RedirectResponse("/login", 303, {"Clear-Site-Data": '"cache"'})
        self._forget(request, answer, "session")
        return answer

    def _forget(self, request: Request, answer: Response, what: str) -> None:
        answer.delete_cookie(self._named(request, what), path="/", httponly=True, secure=needs_https(request),
                             samesite="strict" if what == "session" else "lax")

    def _named(self, request: Request, what: str) -> str:
        # With this prefix a browser takes a cookie from this very host over https only: no neighbour can plant one.
        return f"{'__Host-' if needs_https(request) else ''}patchwright_{what}_{self._name}"


def needs_https(request: Request) -> bool:
    """Whether a cookie must travel over https alone: everywhere but on this very machine."""
    return request.url.scheme == "https" or not is_loopback(request.url.hostname or "")


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is this machine, whoever asks."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _cookie(request: Request, name: str) -> str:
    try:
        found = SimpleCookie(request.headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return found.value if found else ""
