"""Who sent a webhook: its signature over the bytes as they came, compared in constant time and in one spelling alone.

A signature counts exactly as its sender writes it. What merely decodes to the same bytes (another case, another padding,
another character set) does not: nobody who has the secret writes it so.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence

from contracts.errors import PatchwrightError
from services.webhook_access import KnownSecret

FRESH_SECONDS = 300
"""How old a delivery may be whose time is signed."""
LINEAR_FRESH_SECONDS = 60
STANDARD = b"whsec_"
"""How the secret of a Standard Webhooks signature begins."""
MAX_SIGNATURES = 8
SECONDS = re.compile(rb"[1-9][0-9]{0,11}")
Headers = Mapping[bytes, Sequence[bytes]]
"""Every value of a header, by its name in lower case."""


class Unproven(PatchwrightError):
    """Nothing shows that the sender knows a secret of ours. Nothing was kept."""

    code = "unproven"
    http_status = 401


def prove(kind: str, headers: Headers, body: bytes, secrets: Sequence[KnownSecret], now: float) -> list[KnownSecret]:
    """Those of the secrets that the sender knows. Raises ``Unproven`` when it knows none, or the delivery is not as it was sent.

    ``now``: seconds.
    """
    known = PROOFS[kind](headers, body, [secret for secret in secrets if secret.value], now)
    if not known:
        raise Unproven("The signature is not one of a secret that is configured here.")
    return known


def _github(headers: Headers, body: bytes, secrets: Sequence[KnownSecret], _now: float) -> list[KnownSecret]:
    given = _only(headers, b"x-hub-signature-256", "Give the webhook a secret, the same here and on GitHub.")
    return _fitting([given], secrets, lambda secret: b"sha256=" + _hex(secret, body))


def _gitlab(headers: Headers, body: bytes, secrets: Sequence[KnownSecret], now: float) -> list[KnownSecret]:
    signing = [secret for secret in secrets if secret.value.startswith(STANDARD)]
    if signing and b"webhook-signature" in headers:
        return _standard(headers, body, signing, now)
    given = _only(headers, b"x-gitlab-token", "Give the webhook a signing token or a secret token, the same here and on GitLab.")
    return _fitting([given], [secret for secret in secrets if secret not in signing], lambda secret: secret)


def _standard(headers: Headers, body: bytes, secrets: Sequence[KnownSecret], now: float) -> list[KnownSecret]:
    identifier = _only(headers, b"webhook-id", "It is part of what is signed.")
    moment = _only(headers, b"webhook-timestamp", "It is part of what is signed.")
    if not SECONDS.fullmatch(moment):
        raise Unproven("The header webhook-timestamp is not a number of seconds.")
    signed = b".".join((identifier, moment, body))
    given = _only(headers, b"webhook-signature", "").split(b" ")[:MAX_SIGNATURES]
    known = _fitting(given, secrets, lambda secret: b"v1," + base64.b64encode(_hmac(_standard_key(secret), signed)))
    if known:
        _fresh(int(moment), now, FRESH_SECONDS)
    return known


def _standard_key(secret: bytes) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(STANDARD), validate=True)
    except binascii.Error:
        key = b""
    if not key:
        raise Unproven("A signing token that is configured here is no whsec_ followed by base64; copy it again.")
    return key


def _jira(headers: Headers, body: bytes, secrets: Sequence[KnownSecret], _now: float) -> list[KnownSecret]:
    if b"x-hub-signature" in headers:
        given = _only(headers, b"x-hub-signature", "")
        return _fitting([given], secrets, lambda secret: b"sha256=" + _hex(secret, body))
    given = _only(headers, b"x-patchwright-token", "Give the webhook a secret; Automation cannot sign and sends that header.")
    return _fitting([given], secrets, lambda secret: secret)


def _linear(headers: Headers, body: bytes, secrets: Sequence[KnownSecret], now: float) -> list[KnownSecret]:
    given = _only(headers, b"linear-signature", "Linear signs each webhook; its signing secret is to be configured here.")
    if known := _fitting([given], secrets, lambda secret: _hex(secret, body)):
        _fresh(_linear_moment(body), now, LINEAR_FRESH_SECONDS)
    return known


def _linear_moment(body: bytes) -> float:
    """When it was sent, in seconds."""
    try:
        moment = json.loads(body)["webhookTimestamp"]
    except (ValueError, KeyError, TypeError, RecursionError):
        moment = None
    if isinstance(moment, bool) or not isinstance(moment, int):
        raise Unproven("It carries no webhookTimestamp, so nobody knows how old it is.")
    return moment / 1_000


PROOFS: Mapping[str, Callable[[Headers, bytes, Sequence[KnownSecret], float], list[KnownSecret]]] = {
    "github": _github,
    "gitlab": _gitlab,
    "jira": _jira,
    "linear": _linear,
}


def _only(headers: Headers, name: bytes, advice: str) -> bytes:
    """The one value of a header: who sends two hopes that we look at the other one."""
    values = headers.get(name, ())
    if len(values) != 1 or not values[0]:
        what = "is missing" if not values or not values[0] else "came more than once"
        raise Unproven(f"The header {name.decode()} {what}. {advice}".strip())
    return values[0]


def _fitting(
    given: Sequence[bytes], secrets: Sequence[KnownSecret], expected: Callable[[bytes], bytes]
) -> list[KnownSecret]:
    """The secrets that one of the given values comes from. Every one is compared, whichever fits: the time tells nothing."""
    compared = [(secret, [hmac.compare_digest(one, expected(secret.value)) for one in given]) for secret in secrets]
    return [secret for secret, fits in compared if any(fits)]


def _fresh(moment: float, now: float, seconds: int) -> None:
    if abs(now - moment) > seconds:
        raise Unproven(f"It was sent more than {seconds} s ago, or the clocks differ; it may be a replay.")


def _hmac(key: bytes, signed: bytes) -> bytes:
    return hmac.new(key, signed, hashlib.sha256).digest()


def _hex(key: bytes, signed: bytes) -> bytes:
    return _hmac(key, signed).hex().encode()
