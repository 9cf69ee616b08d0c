"""Sign-in at an identity provider: OpenID Connect's authorization code flow with PKCE, state and nonce.

PyJWT holds the ID token against the provider's keys; what it does not look at (which key, nonce, authorised party) is here.
"""

import asyncio
import base64
import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import httpx2
import jwt
from pydantic import BaseModel, ValidationError

from contracts.access import Principal, Role
from contracts.errors import PatchwrightError
from services.access.rules import OidcAccess, is_safe_address

log = logging.getLogger(__name__)
DISCOVERY = "/.well-known/openid-configuration"
TIMEOUT_SECONDS = 10.0
LARGEST_ANSWER = 1 << 20
"""Bytes of anything that the provider answers."""
DISCOVERY_SECONDS = 3_600.0
KEYS_SECONDS = 600.0
NEW_KEYS_SECONDS = 30.0
"""How soon keys are asked for again because a token names one that is not known."""
LEEWAY_SECONDS = 60
"""How far the provider's clock may be off."""
LONGEST_CODE = 4_096


class SignInRefused(PatchwrightError):
    """The provider's word does not hold, or does not suffice, to let somebody in."""

    code = "sign-in-refused"
    http_status = 403


class ProviderUnavailable(PatchwrightError):
    """The identity provider did not answer, or not as OpenID Connect says."""

    code = "provider-unavailable"
    http_status = 502
    retryable = True


class Discovered(BaseModel):
    """What the provider tells of itself, as far as it matters here."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class Begun(BaseModel):
    """A sign-in under way: what must be known when the browser comes back."""

    nonce: str
    verifier: str
    redirect_uri: str
    where: str
    """The path of ours that the browser is to go on to."""


class OidcProvider:
    """One provider. Its methods raise ``SignInRefused`` and ``ProviderUnavailable``."""

    def __init__(self, access: OidcAccess, secret: Callable[[], str]) -> None:
        self._access = access
        self._secret = secret
        self._discovered: tuple[float, Discovered] | None = None
        self._keys: tuple[float, list[dict[str, Any]]] | None = None
        self._asking = asyncio.Lock()

    async def begin(self, redirect_uri: str, where: str) -> tuple[str, str, Begun]:
        """Where to send the browser, the state that it must bring back, and what to keep under that state."""
        told = await self._told()
        state, begun = secrets.token_urlsafe(32), Begun(
            nonce=secrets.token_urlsafe(32), verifier=secrets.token_urlsafe(48), redirect_uri=redirect_uri, where=where)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(begun.verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code", "client_id": self._access.client_id, "redirect_uri": redirect_uri,
            "scope": " ".join(self._access.scopes), "state": state, "nonce": begun.nonce,
            "code_challenge": challenge, "code_challenge_method": "S256",
        }
        joint = "&" if "?" in told.authorization_endpoint else "?"
        return f"{told.authorization_endpoint}{joint}{urlencode(asked)}", state, begun

    async def finish(self, answer: Mapping[str, str], begun: Begun) -> Principal:
        """Who came back from the provider, with the roles of their groups."""
        told = await self._told()
        issuer = answer.get("iss", "")
        # RFC 9207: an answer that another provider gave must not be taken to this one.
        if (issuer and issuer != told.issuer) or (told.authorization_response_iss_parameter_supported and not issuer):
            raise SignInRefused("The answer is not from the identity provider of this service. Sign in again.")
        if answer.get("error"):
            raise SignInRefused(f"The identity provider let nobody in ({_plain(answer['error'])}). Sign in again.")
        if not 0 < len(code := answer.get("code", "")) <= LONGEST_CODE:
            raise SignInRefused("The identity provider sent no code. Sign in again.")
        return self._principal(await self._claims(await self._id_token(told, code, begun), begun.nonce))

    # -- the provider's answers ------------------------------------------------------------------------------

    async def _id_token(self, told: Discovered, code: str, begun: Begun) -> str:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": begun.redirect_uri,
                "code_verifier": begun.verifier, "client_id": self._access.client_id}
        login, secret = None, self._secret()
        if secret and "client_secret_basic" in told.token_endpoint_auth_methods_supported:
            login = httpx2.BasicAuth(quote(self._access.client_id, safe=""), quote(secret, safe=""))
        elif secret:
            form["client_secret"] = secret
        status, answer = await self._asked("POST", told.token_endpoint, data=form, auth=login)
        if status in (400, 401, 403):
            reason = _plain(str(answer.get("error", status)))
            log.warning("The identity provider refused a code: %s", reason)
            raise SignInRefused(f"The identity provider refused the sign-in ({reason}). Sign in again.")
        token = answer.get("id_token")
        if status != httpx2.codes.OK or not isinstance(token, str):
            raise ProviderUnavailable(f"The identity provider answered {status} without an ID token. Try again in a moment.")
        return token

    async def _told(self) -> Discovered:
        now = time.monotonic()
        if self._discovered and now - self._discovered[0] < DISCOVERY_SECONDS:
            return self._discovered[1]
        issuer = self._access.issuer
        _, answer = await self._asked("GET", issuer.rstrip("/") + DISCOVERY)
        try:
            told = Discovered.model_validate(answer)
        except ValidationError as error:
            missing = ", ".join(str(problem["loc"][0]) for problem in error.errors())
            raise ProviderUnavailable(f"The identity provider's description cannot be used: look at its {missing}.") from None
        if told.issuer != issuer:
            raise ProviderUnavailable(f"The identity provider calls itself {told.issuer!r}; set oidc.issuer to exactly that.")
        for place in (told.authorization_endpoint, told.token_endpoint, told.jwks_uri):
            if not is_safe_address(place):
                raise ProviderUnavailable(f"The identity provider names {place!r}, which is no https:// address.")
        self._discovered = (now, told)
        return told

    async def _asked(self, method: str, url: str, **options: Any) -> tuple[int, dict[str, Any]]:
        try:
            async with (
                httpx2.AsyncClient(verify=self._access.verify, timeout=TIMEOUT_SECONDS, follow_redirects=False) as http,
                http.stream(method, url, headers={"Accept": "application/json"}, **options) as answer,
            ):
                body = bytearray()
                async for chunk in answer.aiter_bytes():
                    body += chunk
                    if len(body) > LARGEST_ANSWER:
                        raise ProviderUnavailable("The identity provider's answer is too large.")
            told = httpx2.Response(answer.status_code, content=bytes(body)).json()
        except (httpx2.HTTPError, OSError) as error:
            raise ProviderUnavailable(f"The identity provider did not answer ({type(error).__name__}). Try again.") from error
        except ValueError:
            raise ProviderUnavailable(f"The identity provider answered {answer.status_code} without JSON. Try again.") from None
        return answer.status_code, told if isinstance(told, dict) else {}

    # -- the ID token ----------------------------------------------------------------------------------------

    async def _claims(self, token: str, nonce: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
            algorithm = header.get("alg")
            if algorithm not in self._access.algorithms:
                raise SignInRefused(f"The ID token is signed with {_plain(str(algorithm))}, which oidc.algorithms does not name.")
            key = jwt.PyJWK(await self._key(header.get("kid"), str(algorithm)), algorithm=str(algorithm))
            claims = jwt.decode(
                token, key, algorithms=[str(algorithm)], audience=self._access.client_id, issuer=self._access.issuer,
                leeway=LEEWAY_SECONDS, options={"require": ["iss", "sub", "aud", "exp", "iat"]})
        except jwt.PyJWTError as error:
            log.warning("An ID token was refused: %s", error)
            raise SignInRefused(f"The ID token does not hold: {_plain(str(error))}. Sign in again.") from None
        # A token that somebody else asked for, or that was used before, carries another nonce.
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
            raise SignInRefused("The ID token belongs to another sign-in. Sign in again.")
        others = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if (others or "azp" in claims) and claims.get("azp") != self._access.client_id:
            raise SignInRefused("The ID token was made for another service. Sign in again.")
        return claims

    async def _key(self, kid: object, algorithm: str) -> dict[str, Any]:
        """The one key of the provider that may have signed: never one that comes with the token itself."""
        for fresh in (False, True):
            found = [key for key in await self._published(fresh) if _fits(key, kid, algorithm)]
            if len(found) == 1:
                return found[0]
            if len(found) > 1:
                break
        raise SignInRefused("No key of the identity provider fits the ID token's. Sign in again.")

    async def _published(self, fresh: bool) -> list[dict[str, Any]]:
        async with self._asking:
            lasting = NEW_KEYS_SECONDS if fresh else KEYS_SECONDS
            if self._keys is None or time.monotonic() - self._keys[0] >= lasting:
                _, answer = await self._asked("GET", (await self._told()).jwks_uri)
                listed = answer.get("keys")
                keys = [key for key in listed if isinstance(key, dict)] if isinstance(listed, list) else []
                self._keys = (time.monotonic(), keys)
            return self._keys[1]

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        access = self._access
        name = claims.get(access.name_claim)
        if not isinstance(name, str) or not name.strip():
            raise SignInRefused(f"The identity provider tells no {access.name_claim!r}; ask for its scope in oidc.scopes.")
        if access.name_claim == "email" and claims.get("email_verified") is False:
            raise SignInRefused(f"The identity provider has not verified the address {name}.")
        told = claims.get(access.groups_claim, [])
        groups = [told] if isinstance(told, str) else told if isinstance(told, list) else []
        roles = frozenset(role for group in groups if isinstance(group, str) for role in access.roles.get(group, ()))
        if not roles:
            raise SignInRefused(f"{name} is known, and in no group that has a role here. Ask an administrator of this service.")
        return _known(name.strip(), f"oidc:{claims['iss']}#{claims['sub']}", roles)


def _known(name: str, identity: str, roles: frozenset[Role]) -> Principal:
    try:
        return Principal(name=name, identities=(identity,), roles=roles, kind="oidc", credential=identity)
    except ValidationError:
        raise SignInRefused("The identity provider tells a name that cannot be used here.") from None


def _fits(key: Mapping[str, Any], kid: object, algorithm: str) -> bool:
    families = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
    return (
        key.get("kty") == families[algorithm[:2]]
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and (kid is None or key.get("kid") == kid)
    )


def _plain(text: str) -> str:
    """Somebody else's words, short enough and without anything that could pose as ours."""
    return "".join(c if c.isprintable() else " " for c in text)[:200]
