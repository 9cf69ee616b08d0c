"""An identity provider on the real wire: discovery, authorize, token and keys over HTTP, and every lie that one could tell.

It keeps what a careful provider keeps: the registered redirect address, PKCE with S256, the client's secret, codes that work
once. Its one ``person`` signs in without being asked anything. ``claims`` and ``sign`` are what a test changes to make it lie.
"""

import base64
import contextlib
import hashlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from services.serving import address_of, listening, serving

CLIENT, SECRET = "patchwright", "the-client's-secret"
CALLBACK_PATH = "/login/oidc/callback"
Claims = dict[str, Any]


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


def published(key: rsa.RSAPrivateKey, kid: str, **more: Any) -> dict[str, Any]:
    """The public half as a JWK."""
    return json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())) | {"kid": kid, "use": "sig", "alg": "RS256"} | more


def pem(key: rsa.RSAPrivateKey) -> bytes:
    """The public half as everybody can have it."""
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


class FakeProvider:
    """One provider with one client and one person in front of its door."""

    def __init__(self) -> None:
        self.url = ""
        self.honest_key = new_key()
        self.behave()
        self.asked: list[tuple[str, dict[str, str]]] = []
        """Every request to the token endpoint: the Authorization header, and the form."""
        self.key_requests = 0
        self._codes: dict[str, dict[str, str]] = {}
        self.app = Starlette(routes=[
            Route("/.well-known/openid-configuration", self._discovery), Route("/authorize", self._authorize),
            Route("/token", self._token, methods=["POST"]), Route("/keys", self._keys)])

    def behave(self) -> None:
        """Be honest (again)."""
        self.key, self.kid = self.honest_key, "key-1"
        self.keys: list[dict[str, Any]] = [published(self.key, self.kid)]
        self.person: Claims = {"sub": "u-1", "email": "ada@example.com", "email_verified": True, "groups": ["developers"]}
        self.claims: Callable[[Claims], Claims] = lambda told: told
        """What a lying provider, or somebody in between, makes of the claims."""
        self.sign: Callable[[Claims], str] = self.signed
        self.tells_issuer = True
        self.described: Claims = {}
        """What stands in the discovery document instead."""

    def signed(self, claims: Claims, **header: Any) -> str:
        """The claims as this provider signs them."""
        return jwt.encode(claims, self.key, "RS256", headers={"kid": self.kid, **header})

    async def _discovery(self, _request: Request) -> Response:
        return JSONResponse({
            "issuer": self.url, "authorization_endpoint": f"{self.url}/authorize", "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys", "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"], "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "authorization_response_iss_parameter_supported": self.tells_issuer, **self.described})

    async def _keys(self, _request: Request) -> Response:
        self.key_requests += 1
        return JSONResponse({"keys": self.keys})

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        proper = (
            asked.get("client_id") == CLIENT and asked.get("response_type") == "code" and asked.get("state")
            and asked.get("redirect_uri", "").endswith(CALLBACK_PATH) and "openid" in asked.get("scope", "").split()
            and asked.get("code_challenge_method") == "S256" and len(asked.get("code_challenge", "")) == 43)
        if not proper:
            return JSONResponse({"error": "invalid_request"}, 400)
        code = secrets.token_urlsafe(16)
        self._codes[code] = asked
        back = {"code": code, "state": asked["state"], **({"iss": self.url} if self.tells_issuer else {})}
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(back)}", 302)

    async def _token(self, request: Request) -> Response:
        form = {name: str(value) for name, value in (await request.form()).items()}
        self.asked.append((request.headers.get("authorization", ""), form))
        login = base64.b64encode(f"{CLIENT}:{SECRET.replace(chr(39), '%27')}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {login}":
            return JSONResponse({"error": "invalid_client"}, 401)
        asked = self._codes.pop(form.get("code", ""), None)
        verifier = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(verifier).rstrip(b"=").decode()
        if asked is None or challenge != asked["code_challenge"] or form.get("redirect_uri") != asked["redirect_uri"]:
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        told = {"iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"], **self.person}
        return JSONResponse({"access_token": secrets.token_urlsafe(16), "token_type": "Bearer", "expires_in": 300,
                             "id_token": self.sign(self.claims(told))})


@asynccontextmanager
async def identity_provider() -> AsyncIterator[FakeProvider]:
    """A provider on a free loopback port."""
    fake = FakeProvider()
    with contextlib.ExitStack() as opened:
        door = opened.enter_context(listening("127.0.0.1", 0, "a free port"))
        fake.url = address_of("127.0.0.1", door)
        async with serving(fake.app, door):
            yield fake
