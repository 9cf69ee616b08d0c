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


def prove(kind: str, headers: Headers, body: bytes, secrets: Sequence[bytes], now: float) -> None:
    """Raise ``Unproven`` unless the sender knows one of the secrets and the delivery is as it was sent; ``now``: seconds."""
    PROOFS[kind](headers, body, [secret for secret in secrets if secret], now)


def _github(headers: Headers, body: bytes, secrets: Sequence[bytes], _now: float) -> None:
    given = _only(headers, b"x-hub-signature-256", "Give the webhook a secret, the same here and on GitHub.")
    _signed(given, [b"sha256=" + _hex(secret, body) for secret in secrets])


def _gitlab(headers: Headers, body: bytes, secrets: Sequence[bytes], now: float) -> None:
    signing = [secret for secret in secrets if secret.startswith(STANDARD)]
    if signing and b"webhook-signature" in headers:
        _standard(headers, body, signing, now)
        return
    given = _only(headers, b"x-gitlab-token", "Give the webhook a signing token or a secret token, the same here and on GitLab.")
    _signed(given, [secret for secret in secrets if not secret.startswith(STANDARD)])


def _standard(headers: Headers, body: bytes, secrets: Sequence[bytes], now: float) -> None:
    identifier = _only(headers, b"webhook-id", "It is part of what is signed.")
    moment = _only(headers, b"webhook-timestamp", "It is part of what is signed.")
    if not SECONDS.fullmatch(moment):
        raise Unproven("The header webhook-timestamp is not a number of seconds.")
    signed = b".".join((identifier, moment, body))
    expected = [b"v1," + base64.b64encode(_hmac(_standard_key(secret), signed)) for secret in secrets]
    for given in _only(headers, b"webhook-signature", "").split(b" ")[:MAX_SIGNATURES]:
        if _is_one_of(given, expected):
            _fresh(int(moment), now, FRESH_SECONDS)
            return
    raise Unproven("The signature is not one of a secret that is configured here.")


def _standard_key(secret: bytes) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(STANDARD), validate=True)
    except binascii.Error:
        key = b""
    if not key:
        raise Unproven("A signing token that is configured here is no whsec_ followed by base64; copy it again.")
    return key


def _jira(headers: Headers, body: bytes, secrets: Sequence[bytes], _now: float) -> None:
    if b"x-hub-signature" in headers:
        _signed(_only(headers, b"x-hub-signature", ""), [b"sha256=" + _hex(secret, body) for secret in secrets])
        return
    given = _only(headers, b"x-patchwright-token", "Give the webhook a secret; Automation cannot sign and sends that header.")
    _signed(given, secrets)


def _linear(headers: Headers, body: bytes, secrets: Sequence[bytes], now: float) -> None:
    given = _only(headers, b"linear-signature", "Linear signs each webhook; its signing secret is to be configured here.")
    _signed(given, [_hex(secret, body) for secret in secrets])
    try:
        told = json.loads(body)
        moment = told["webhookTimestamp"]
        if isinstance(moment, bool) or not isinstance(moment, int):
            raise ValueError("no number")
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Unproven("It carries no webhookTimestamp, so nobody knows how old it is.") from None
    _fresh(moment / 1_000, now, LINEAR_FRESH_SECONDS)


PROOFS: Mapping[str, Callable[[Headers, bytes, Sequence[bytes], float], None]] = {
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


def _signed(given: bytes, expected: Sequence[bytes]) -> None:
    if not _is_one_of(given, expected):
        raise Unproven("The signature is not one of a secret that is configured here.")


def _is_one_of(given: bytes, expected: Sequence[bytes]) -> bool:
    """Every one is compared, whichever fits: how long it takes tells nothing."""
    return any([hmac.compare_digest(given, one) for one in expected])


def _fresh(moment: float, now: float, seconds: int) -> None:
    if abs(now - moment) > seconds:
        raise Unproven(f"It was sent more than {seconds} s ago, or the clocks differ; it may be a replay.")


def _hmac(key: bytes, signed: bytes) -> bytes:
    return hmac.new(key, signed, hashlib.sha256).digest()


def _hex(key: bytes, signed: bytes) -> bytes:
    return _hmac(key, signed).hex().encode()
