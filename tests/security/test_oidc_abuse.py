"""Sign-in at an identity provider: the honest way in, and every way of lying about who one is."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import httpx2
import jwt
import pytest

from contracts.access import Role
from services.access.limits import RequestRate
from services.access.oidc import OidcProvider
from services.access.rules import OidcAccess
from tests.fakes.oidc import CLIENT, SECRET, Claims, FakeProvider, identity_provider, new_key, pem, published
from tests.fakes.service import Service, open_service
from tests.fakes.tallies import Tally

HTML = {"Accept": "text/html"}
GROUPS = {"developers": (Role.SUBMITTER, Role.REVIEWER), "leads": (Role.ADMIN,)}
Lie = Callable[[FakeProvider], None]
Begin = Callable[[str], Tally]
MINE = new_key()
"""The attacker's."""


@pytest.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    async with identity_provider() as fake:
        yield fake


@pytest.fixture
async def service(provider: FakeProvider, tmp_path: Path) -> AsyncIterator[Service]:
    access = OidcAccess(issuer=provider.url, client_id=CLIENT, roles=GROUPS)
    opened = await open_service(tmp_path, oidc=access, oidc_secret=lambda: SECRET)
    yield opened
    await opened.database.close()


@pytest.fixture
async def browser(service: Service) -> AsyncIterator[httpx2.AsyncClient]:
    async with service.client(token="") as made:
        made.headers.update(HTML)
        yield made


async def answered(browser: httpx2.AsyncClient, where: str = "/") -> str:
    """Begin to sign in and let the provider answer; the path and query that it sends the browser back to."""
    begun = await browser.get("/login/oidc", params={"next": where})
    assert begun.status_code == 303, begun.text
    async with httpx2.AsyncClient() as outside:
        sent = await outside.get(begun.headers["location"])
    assert sent.status_code == 302, sent.text
    back = urlsplit(sent.headers["location"])
    return f"{back.path}?{back.query}"


async def signed_in(browser: httpx2.AsyncClient) -> httpx2.Response:
    """Sign in, the honest way."""
    return await browser.get(await answered(browser))


async def outside_still(browser: httpx2.AsyncClient) -> bool:
    """Whether the browser is nobody to us."""
    return (await browser.get("/me", headers={"Accept": "application/json"})).status_code == 401


async def test_somebody_signs_in_with_the_roles_of_their_groups(
    browser: httpx2.AsyncClient, provider: FakeProvider, service: Service
) -> None:
    back = await browser.get(await answered(browser, "/pulls"))
    assert back.status_code == 200 and 'content="0; url=/pulls"' in back.text
    who = (await browser.get("/me")).json()
    assert (who["name"], who["kind"], who["roles"]) == ("ada@example.com", "oidc", ["reviewer", "submitter"])
    (login, form), = provider.asked
    assert login.startswith("Basic ") and "client_secret" not in form and len(form["code_verifier"]) >= 43
    task = (await browser.post("/tasks", json={"repo": "/srv/shop.git", "title": "t"}, headers=await csrf(browser))).json()
    assert task["requester"] == "ada@example.com"
    kept = await service.runs.get(task["id"])
    assert kept.task.handed_in_by == ("ada@example.com", f"oidc:{provider.url}#u-1")


async def csrf(browser: httpx2.AsyncClient) -> dict[str, str]:
    page = (await browser.get("/")).text
    return {"X-CSRF-Token": page.split('name="csrf" content="')[1].split('"')[0], "Origin": "http://localhost"}


async def test_the_way_to_the_provider_carries_state_nonce_and_a_challenge_and_no_secret(browser: httpx2.AsyncClient) -> None:
    where = (await browser.get("/login/oidc")).headers["location"]
    asked = {name: value for name, (value,) in parse_qs(urlsplit(where).query).items()}
    assert asked["code_challenge_method"] == "S256" and len(asked["state"]) >= 43 and len(asked["nonce"]) >= 43
    assert SECRET not in where and asked["redirect_uri"] == "http://localhost/login/oidc/callback"
    again = (await browser.get("/login/oidc")).headers["location"]
    assert not set(parse_qs(urlsplit(again).query)["state"]) & {asked["state"]}


async def test_keys_that_the_provider_rotated_are_fetched_once(browser: httpx2.AsyncClient, provider: FakeProvider,
                                                               service: Service) -> None:
    await signed_in(browser)
    assert provider.key_requests == 1
    assert service.access.oidc is not None and service.access.oidc._keys is not None
    service.access.oidc._keys = (service.access.oidc._keys[0] - 60, service.access.oidc._keys[1])
    provider.key, provider.kid = new_key(), "key-2"
    provider.keys = [*provider.keys, published(provider.key, "key-2")]
    assert (await signed_in(browser)).status_code == 200
    provider.kid = "key-3"
    for _ in range(3):  # unknown keys must not make us hammer the provider
        assert (await signed_in(browser)).status_code == 403
    assert provider.key_requests == 2


def changed(**claims: Any) -> Lie:
    """Claims that say something else; None leaves one out."""

    def lie(fake: FakeProvider) -> None:
        def told(honest: Claims) -> Claims:
            return {name: value for name, value in (honest | claims).items() if value is not None}

        fake.claims = told

    return lie


def unsigned(algorithm: str) -> Lie:
    def lie(fake: FakeProvider) -> None:
        def sign(claims: Claims) -> str:
            return f"{_part({'alg': algorithm, 'typ': 'JWT', 'kid': fake.kid})}.{_part(claims)}."

        fake.sign = sign

    return lie


def shared_key(fake: FakeProvider) -> None:
    """HS256 with the provider's public key for the secret: everybody has that."""

    def sign(claims: Claims) -> str:
        head = f"{_part({'alg': 'HS256', 'typ': 'JWT', 'kid': fake.kid})}.{_part(claims)}"
        return f"{head}.{_b64(hmac.digest(pem(fake.key), head.encode(), hashlib.sha256))}"

    fake.sign = sign


def client_secret_key(fake: FakeProvider) -> None:
    fake.sign = lambda claims: jwt.encode(claims, SECRET * 2, "HS256", headers={"kid": fake.kid})


def symmetric_published(fake: FakeProvider) -> None:
    """A shared key among the published ones."""
    secret = b"k" * 32
    fake.keys = [{"kty": "oct", "kid": "oct-1", "k": _b64(secret), "alg": "HS256"}, *fake.keys]
    fake.sign = lambda claims: jwt.encode(claims, secret, "HS256", headers={"kid": "oct-1"})


def own_key(**header: Any) -> Lie:
    """Signed with a key of the attacker's, in the name of the provider's."""

    def lie(fake: FakeProvider) -> None:
        named = {name: published(MINE, fake.kid) if value == "JWK" else value for name, value in header.items()}
        fake.sign = lambda claims: jwt.encode(claims, MINE, "RS256", headers={"kid": fake.kid, **named})

    return lie


def other_kid(kid: Any) -> Lie:
    def lie(fake: FakeProvider) -> None:
        fake.sign = lambda claims: jwt.encode(claims, MINE, "RS256", headers={"kid": kid})

    return lie


def encryption_key(fake: FakeProvider) -> None:
    """Signed with a key that is published for encryption alone."""
    fake.keys = [*fake.keys, published(MINE, "enc-1", use="enc")]
    fake.sign = lambda claims: jwt.encode(claims, MINE, "RS256", headers={"kid": "enc-1"})


def twin_kid(fake: FakeProvider) -> None:
    """Two keys of one name."""
    fake.keys = [published(MINE, fake.kid), *fake.keys]
    fake.sign = lambda claims: jwt.encode(claims, MINE, "RS256", headers={"kid": fake.kid})


def reworded(fake: FakeProvider) -> None:
    """An honest signature over other claims."""

    def sign(claims: Claims) -> str:
        head, _, signature = fake.signed(claims).split(".")
        return f"{head}.{_part(claims | {'email': 'root@example.com', 'groups': ['leads']})}.{signature}"

    fake.sign = sign


def cut(fake: FakeProvider) -> None:
    fake.sign = lambda claims: fake.signed(claims)[:-8]


def described(**told: Any) -> Lie:
    def lie(fake: FakeProvider) -> None:
        fake.described = told

    return lie


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _part(told: Claims) -> str:
    return _b64(json.dumps(told).encode())


LIES: dict[str, Lie] = {
    "alg none": unsigned("none"), "alg None": unsigned("None"), "alg nOnE": unsigned("nOnE"), "alg empty": unsigned(""),
    "HS256 with the public key": shared_key, "HS256 with the client's secret": client_secret_key,
    "HS256 with a published shared key": symmetric_published,
    "another's key": own_key(), "a key in the header": own_key(jwk="JWK"),
    "a key's address in the header": own_key(jku="http://127.0.0.1:1/keys"),
    "a certificate's address in the header": own_key(x5u="http://127.0.0.1:1/cert"),
    "a critical header that nobody knows": own_key(crit=["exp"]),
    "unknown kid": other_kid("key-9"), "kid is a path": other_kid("../../dev/null"), "kid is SQL": other_kid("' OR '1'='1"),
    "kid is empty": other_kid(""), "a key for encryption": encryption_key, "two keys of one kid": twin_kid,
    "other claims under the signature": reworded, "a cut signature": cut,
    "wrong audience": changed(aud="another"), "no audience": changed(aud=None), "empty audience": changed(aud=[]),
    "many audiences without azp": changed(aud=[CLIENT, "another"]),
    "another authorised party": changed(aud=[CLIENT, "another"], azp="another"), "foreign azp alone": changed(azp="another"),
    "wrong issuer": changed(iss="https://evil.example"), "no issuer": changed(iss=None),
    "issuer with a slash": changed(iss="http://127.0.0.1/"),
    "wrong nonce": changed(nonce="n" * 43), "no nonce": changed(nonce=None),
    "nonce is a list": changed(nonce=["a"]),
    "expired": changed(exp=int(time.time()) - 3_600), "no expiry": changed(exp=None), "expiry is text": changed(exp="soon"),
    "issued tomorrow": changed(iat=int(time.time()) + 86_400), "no time of issue": changed(iat=None),
    "not valid yet": changed(nbf=int(time.time()) + 3_600),
    "no subject": changed(sub=None), "subject is a number": changed(sub=7),
    "no name": changed(email=None), "an empty name": changed(email=" "), "name is a list": changed(email=["ada@example.com"]),
    "an unverified address": changed(email_verified=False), "a name with a line break": changed(email="ada\nadmin"),
    "no group": changed(groups=None), "a foreign group": changed(groups=["guests"]),
    "groups is a mapping": changed(groups={"leads": 1}),
    "group by another case": changed(groups=["Leads"]), "groups within a group": changed(groups=[["leads"]]),
}
DESCRIPTIONS: dict[str, Lie] = {
    "calls itself another": described(issuer="https://evil.example"),
    "token endpoint without TLS": described(token_endpoint="http://evil.example/token"),
    "keys without TLS": described(jwks_uri="http://evil.example/keys"),
    "authorize is a script": described(authorization_endpoint="javascript:alert(1)"),
    "an endpoint with a login": described(token_endpoint="https://u:p@evil.example/token"),
    "keys from a file": described(jwks_uri="file:///etc/passwd"), "no endpoint at all": described(token_endpoint=None),
}


def afresh(service: Service, provider: FakeProvider, lie: Lie) -> None:
    """A provider with one lie, and a service that has not heard of it yet."""
    provider.behave()
    lie(provider)
    assert service.access.rules.oidc
    service.access.oidc = OidcProvider(service.access.rules.oidc, lambda: SECRET)


async def test_an_id_token_that_lies_lets_nobody_in(
    browser: httpx2.AsyncClient, provider: FakeProvider, service: Service, tally: Begin
) -> None:
    counted, service.access.beginnings = tally("ID tokens that lie"), RequestRate(0)
    for name, lie in LIES.items():
        afresh(service, provider, lie)
        refused = await signed_in(browser)
        planted = "session" in " ".join(refused.headers.get_list("set-cookie"))
        stayed = refused.status_code == 403 and not planted and await outside_still(browser)
        counted.case(name, "" if stayed else f"answered {refused.status_code}")
    counted.settle(at_least=45)
    afresh(service, provider, lambda _: None)
    assert (await signed_in(browser)).status_code == 200, "and the honest one comes in"


async def test_a_provider_that_leads_elsewhere_is_not_followed(
    browser: httpx2.AsyncClient, provider: FakeProvider, service: Service, tally: Begin
) -> None:
    counted = tally("providers that lead elsewhere")
    for name, lie in DESCRIPTIONS.items():
        afresh(service, provider, lie)
        refused = await browser.get("/login/oidc")
        counted.case(name, "" if refused.status_code == 502 else f"answered {refused.status_code}")
    counted.settle(at_least=7)


def _replaced(path: str, **parts: str) -> str:
    place, _, query = path.partition("?")
    return f"{place}?{urlencode({**dict(parse_qsl(query)), **parts})}"


CALLBACKS: dict[str, Callable[[str], str]] = {
    "no state": lambda back: _replaced(back, state=""),
    "another state": lambda back: _replaced(back, state="s" * 43),
    "another provider's answer": lambda back: _replaced(back, iss="https://evil.example"),
    "no provider named": lambda back: _replaced(back, iss=""),
    "no code": lambda back: _replaced(back, code=""),
    "another code": lambda back: _replaced(back, code="c" * 20),
    "an endless code": lambda back: _replaced(back, code="c" * 5_000),
    "an error beside the code": lambda back: _replaced(back, error="access_denied<script>"),
}


async def test_an_answer_that_was_tampered_with_lets_nobody_in(browser: httpx2.AsyncClient, tally: Begin) -> None:
    counted = tally("answers of providers that were tampered with")
    for name, change in CALLBACKS.items():
        refused = await browser.get(change(await answered(browser)))
        stayed = refused.status_code == 403 and await outside_still(browser) and "access_denied<script>" not in refused.text
        counted.case(name, "" if stayed else f"answered {refused.status_code}")
    counted.settle(at_least=8)


async def test_an_answer_works_once_and_only_in_the_browser_that_began(browser: httpx2.AsyncClient, service: Service) -> None:
    back = await answered(browser)
    async with service.client(token="") as victim:
        victim.headers.update(HTML)
        fixed = await victim.get(back)
        assert fixed.status_code == 403 and await outside_still(victim), "an attacker's answer signs nobody else in"
        await victim.get("/login/oidc")
        assert (await victim.get(back)).status_code == 403, "not even when they began one of their own"
    assert (await browser.get(back)).status_code == 200
    await browser.post("/logout", headers=await csrf(browser))
    assert (await browser.get(back)).status_code == 403 and await outside_still(browser), "used up"


async def test_nobody_fills_the_store_by_beginning(browser: httpx2.AsyncClient, service: Service) -> None:
    service.access.beginnings = RequestRate(3)
    answers = [await browser.get("/login/oidc") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [303, 303, 303, 429, 429]
    assert int(answers[-1].headers["retry-after"]) > 0


async def test_a_provider_that_is_away_is_told_in_words(browser: httpx2.AsyncClient, provider: FakeProvider,
                                                         service: Service) -> None:
    provider.described = {"token_endpoint": "http://127.0.0.1:1/token"}
    refused = await browser.get(await answered(browser))
    assert refused.status_code == 502 and "identity provider did not answer" in refused.text


async def test_whoever_is_sent_away_keeps_no_session_after_revocation(browser: httpx2.AsyncClient, service: Service) -> None:
    await signed_in(browser)
    assert not await outside_still(browser)
    async with service.client() as admin:
        ended = (await admin.post("/revocations", json={"person": "ada@example.com"})).json()
    assert ended == {"tokens": 0, "sessions": 1} and await outside_still(browser)
