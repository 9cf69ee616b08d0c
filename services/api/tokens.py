"""Who one is, links to sign in with, and tokens for others."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, Field

from activities.stores.access_store import AccessStore
from contracts.access import AccessToken, Person, Principal, Right, Role, TokenRequest
from contracts.word import StrictWord
from services.access.access import Access
from services.api.bodies import body_of
from services.api.caller import Caller
from services.api.declared import problems, takes
from services.api.sessions import LINK_LIFE, Sessions

TokenId = Annotated[str, Path(pattern=r"^[0-9a-f]{1,16}$", examples=["3f2a9c01d4e5"])]


class WhoView(BaseModel):
    """Whoever sent the request."""

    name: str
    kind: str = Field(description="`local` for the service's own token, else `token` or `oidc`.")
    roles: list[Role]
    rights: list[Right]
    repositories: list[str] = Field(description="Patterns of the repositories that the credential is good for; empty: all.")
    expires_at: datetime | None


class SignInLink(BaseModel):
    """Opens a browser's session once."""

    url: str = Field(description="The part behind # is the key; browsers keep it to themselves.")
    expires_at: datetime


class NewToken(BaseModel):
    """A token that was just made."""

    secret: str = Field(description="The token itself. It is told this once and kept nowhere.")
    token: AccessToken


class Tokens(BaseModel):
    tokens: list[AccessToken]


class Revocation(StrictWord):
    """Whose credentials are to end."""

    person: Person


class Revoked(BaseModel):
    tokens: int
    sessions: int


def me_routes(access: Access) -> APIRouter:
    """``/me``."""
    router = APIRouter(prefix="/me", tags=["access"])

    @router.get("", responses=problems())
    async def who_am_i(who: Caller) -> WhoView:
        """Whom the credential stands for, and what it is good for."""
        return WhoView(
            name=who.name, kind=who.kind, roles=sorted(who.roles), rights=[right for right in Right if who.may(right)],
            repositories=list(who.repositories), expires_at=who.expires_at)

    @router.post("/links", status_code=201, responses=problems())
    async def sign_in_link(request: Request, who: Caller) -> SignInLink:
        """A link that signs a browser in as whoever asks for it: once, within ten minutes."""
        key = Sessions.new_door()
        await access.store.begin_sign_in(f"link {key}", {"principal": who.model_dump_json()}, LINK_LIFE)
        base = access.rules.public_url or f"{request.url.scheme}://{request.url.netloc}"
        return SignInLink(url=f"{base}/login#{key}", expires_at=datetime.now(UTC) + LINK_LIFE)

    return router


async def principal_of_link(access: Access, key: str) -> Principal | None:
    """Whom a link lets in; once, and while the credential that it was made with holds."""
    told = await access.store.finish_sign_in(f"link {key}")
    principal = Principal.model_validate_json(told["principal"]) if told else None
    return principal if principal and await access.identities.holds(principal.credential) else None


def token_routes(store: AccessStore) -> APIRouter:
    """``/tokens`` and ``/revocations``, for administrators."""
    router = APIRouter(tags=["access"])

    @router.get("/tokens", responses=problems())
    async def list_tokens() -> Tokens:
        """Every token, the newest first; never its secret."""
        return Tokens(tokens=await store.tokens())

    @router.post("/tokens", status_code=201, responses=problems(413, 415, 422), openapi_extra=takes(TokenRequest))
    async def make_token(who: Caller, wanted: Annotated[TokenRequest, Depends(body_of(TokenRequest))]) -> NewToken:
        """A token for a person or a machine, with roles, for all repositories or some."""
        token, secret = await store.make_token(wanted, by=who.name)
        return NewToken(secret=secret, token=token)

    @router.delete("/tokens/{token_id}", responses=problems(404))
    async def revoke_token(token_id: TokenId) -> AccessToken:
        """End a token at once, with the sessions it opened and the event streams it holds open."""
        return await store.revoke_token(token_id)

    @router.post("/revocations", responses=problems(413, 415, 422), openapi_extra=takes(Revocation))
    async def revoke_person(wanted: Annotated[Revocation, Depends(body_of(Revocation))]) -> Revoked:
        """End every token and every session of a person, whatever opened it."""
        tokens, sessions = await store.revoke_person(wanted.person)
        return Revoked(tokens=tokens, sessions=sessions)

    return router
