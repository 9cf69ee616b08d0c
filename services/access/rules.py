"""What the settings say about sign-in elsewhere (OpenID Connect)."""

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from contracts.access import Role
from contracts.word import StrictWord

LOOPBACK = ("localhost", "127.0.0.1", "::1")
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""How an ID token may be signed: with a key that only the provider has. ``none`` and shared keys are not among them."""


class OidcAccess(StrictWord):
    """The identity provider that people sign in at, and what its groups may do here."""

    issuer: str = Field(examples=["https://id.example.com"])
    """The provider's issuer, exactly as its tokens name it; https, but for loopback."""
    client_id: str = Field(min_length=1, max_length=500)
    """What this service is called there. Register `<public url>/login/oidc/callback` as its only redirect address."""
    secret_file: str = ""
    """The file with the client's secret; it and `secret_variable` empty: a public client, which PKCE alone protects."""
    secret_variable: str = ""
    """The environment variable with the client's secret."""
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    """What is asked for; many providers want one more before they tell groups."""
    name_claim: str = Field(default="email", min_length=1, max_length=100)
    """The claim that names a person; it must be one that people cannot choose themselves."""
    groups_claim: str = Field(default="groups", min_length=1, max_length=100)
    """The claim of the ID token that lists somebody's groups."""
    roles: dict[str, tuple[Role, ...]] = Field(default_factory=dict)
    """The roles of each group, e.g. {"shop-developers": ["submitter", "reviewer"]}; who is in none of them stays outside."""
    algorithms: tuple[Algorithm, ...] = Field(default=("RS256", "ES256"), min_length=1)
    """How ID tokens may be signed."""
    ca_file: str = ""
    """The file with the certificates to trust for the provider, instead of the machine's."""

    @property
    def verify(self) -> str | bool:
        """What its certificate is held against."""
        return str(Path(self.ca_file).expanduser()) if self.ca_file else True

    @field_validator("issuer")
    @classmethod
    def _safe_address(cls, issuer: str) -> str:
        if not is_safe_address(issuer):
            raise ValueError("the issuer must be an https:// address (http:// on loopback only)")
        return issuer

    @field_validator("scopes")
    @classmethod
    def _asks_for_an_id_token(cls, scopes: tuple[str, ...]) -> tuple[str, ...]:
        return scopes if "openid" in scopes else ("openid", *scopes)

    @model_validator(mode="after")
    def _one_secret(self) -> "OidcAccess":
        if self.secret_file and self.secret_variable:
            raise ValueError("name secret_file or secret_variable, not both")
        return self


def is_safe_address(url: str) -> bool:
    """Whether nobody in between can read or change what goes there."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    if not host or parts.username or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK)
