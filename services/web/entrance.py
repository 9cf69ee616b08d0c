"""The way in and out: the token or a link's key pasted once, or sign-in at an identity provider."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import FileResponse, RedirectResponse

from contracts.access import Principal
from contracts.errors import NotFound
from services.access.access import Access
from services.access.oidc import Begun, OidcProvider, SignInRefused
from services.api.gate import check_same_origin, refuse_guessing, refuse_haste, token_holder
from services.api.problems import RequestRefused
from services.api.sessions import DOOR, Sessions, needs_https
from services.api.tokens import principal_of_link
from services.web.rendering import ASSETS, page

CALLBACK = "/login/oidc/callback"
WRONG = "That opens nothing. Copy the token again, without spaces; a link works once, for ten minutes."
Text = Annotated[str, Form(max_length=500)]


def entrance_routes(access: Access, sessions: Sessions) -> APIRouter:
    """Sign-in, sign-out, and what browsers ask for by themselves."""
    router = APIRouter(include_in_schema=False)
    door = _Door(access, sessions)

    @router.get("/login")
    async def login_page(request: Request, next: str = "/") -> Response:
        return door.shown(request, next)

    @router.post("/login")
    async def log_in(request: Request, token: Text = "", form_token: Text = "", next: Annotated[str, Form()] = "/") -> Response:
        check_same_origin(request)
        if not sessions.is_form_token(sessions.door(request), form_token):
            return door.shown(request, next, "The page was open for too long; try once more.", 403)
        try:
            principal = await door.holder_of(request, token.strip())
        except RequestRefused as refused:
            wrong = WRONG if refused.status == 401 else refused.detail
            return door.shown(request, next, wrong, refused.status, refused.headers)
        return await sessions.let_in(request, principal, RedirectResponse(own_path(next), 303))

    @router.get("/login/oidc")
    async def sign_in_elsewhere(request: Request, next: str = "/") -> Response:
        return await door.to_provider(request, own_path(next))

    @router.get(CALLBACK)
    async def came_back(request: Request) -> Response:
        principal, where = await door.from_provider(request)
        # Not a redirect: the browser comes from another site, and would leave the new cookie out of it.
        answer = page(request, "welcome.html", where=where, name=principal.name)
        return await sessions.let_in(request, principal, answer)

    @router.post("/logout")
    async def log_out(request: Request) -> Response:
        return await sessions.let_out(request)

    @router.get("/favicon.ico")
    async def icon() -> Response:
        return FileResponse(ASSETS / "icon.svg", media_type="image/svg+xml", headers={"Cache-Control": "max-age=86400"})

    return router


class _Door:
    """What happens before anybody is known."""

    def __init__(self, access: Access, sessions: Sessions) -> None:
        self._access = access
        self._sessions = sessions

    def shown(self, request: Request, where: str, wrong: str = "", status: int = 200,
              headers: dict[str, str] | None = None) -> Response:
        """The page with the form, bound to this browser."""
        door = self._sessions.door(request) or self._sessions.new_door()
        published = self._access.rules.public_url.startswith("https://")
        unsafe = needs_https(request) and request.url.scheme != "https" and not published
        answer = page(request, "login.html", status, next=own_path(where), wrong=wrong, unsafe=unsafe,
                      provider=self._access.oidc is not None, door_token=self._sessions.form_token(door))
        answer.headers.update({name: value for name, value in (headers or {}).items() if name == "Retry-After"})
        return self._sessions.at_the_door(request, answer, door)

    async def holder_of(self, request: Request, offered: str) -> Principal:
        """Whom a pasted token or a link's key lets in. Raises ``RequestRefused``."""
        refuse_guessing(self._access, request, offered)
        return await principal_of_link(self._access, offered) or await token_holder(self._access, request, offered)

    async def to_provider(self, request: Request, where: str) -> Response:
        """Send the browser to the identity provider."""
        refuse_haste(self._access, request)
        door = self._sessions.new_door()
        url, state, begun = await self._provider().begin(self._base(request) + CALLBACK, where)
        await self._access.store.begin_sign_in(_key(state, door), begun.model_dump(), DOOR)
        return self._sessions.at_the_door(request, RedirectResponse(url, 303), door)

    async def from_provider(self, request: Request) -> tuple[Principal, str]:
        """Who came back, and where they wanted to go. Raises ``SignInRefused`` and ``ProviderUnavailable``."""
        provider, door = self._provider(), self._sessions.door(request)
        # One who has another's answer but not their browser, and an answer that was used before, find nothing.
        told = await self._access.store.finish_sign_in(_key(request.query_params.get("state", ""), door)) if door else None
        if told is None:
            raise SignInRefused("This sign-in was not begun in this browser, is over, or took too long. Sign in again.")
        begun = Begun.model_validate(told)
        return await provider.finish(dict(request.query_params), begun), own_path(begun.where)

    def _base(self, request: Request) -> str:
        return self._access.rules.public_url or f"{request.url.scheme}://{quote(request.url.netloc, safe=':[].')}"

    def _provider(self) -> OidcProvider:
        if self._access.oidc is None:
            raise NotFound("No identity provider is configured here; sign in with a token.")
        return self._access.oidc


def own_path(path: str) -> str:
    """The path when it surely stays with us."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() else "/"


def _key(state: str, door: str) -> str:
    return f"oidc {state} {door}"
