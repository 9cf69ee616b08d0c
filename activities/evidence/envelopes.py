"""Statements in signed DSSE envelopes, and out of them again."""

import base64
import binascii
import json
from datetime import datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import ValidationError

from contracts.errors import InvalidInput
from contracts.evidence import PAYLOAD_TYPE, Claim, Envelope, KeyRing, PublicKey, Signature, Statement, subjects
from contracts.waiver import Waiver, WaiverStatement, waiver_statement

CLOCK_SKEW = timedelta(minutes=5)
"""How far the clock of whoever signed may be ahead of ours."""


def sealed(claim: Claim, key: Ed25519PrivateKey, keyid: str) -> Envelope:
    """A claim as a statement in an envelope signed with a key."""
    statement = Statement(subject=subjects(claim), predicate=claim)
    return signed(statement.model_dump_json(by_alias=True).encode(), key, keyid)


def signed(payload: bytes, key: Ed25519PrivateKey, keyid: str) -> Envelope:
    """A statement's JSON in an envelope signed with a key."""
    signature = key.sign(authenticated(PAYLOAD_TYPE, payload))
    return Envelope(
        payload=base64.b64encode(payload).decode(),
        signatures=(Signature(keyid=keyid, sig=base64.b64encode(signature).decode()),),
    )


def said_once(content: bytes, what: str) -> None:
    """Raise ``InvalidInput`` where JSON has a key twice: readers would not agree on what it says. What is no JSON passes."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        if twice := next((key for key in keys if keys.count(key) > 1), None) if len(keys) != len(set(keys)) else None:
            raise InvalidInput(f"{what} has the key {twice[:100]!r} twice in one place; nobody can say which one counts.")
        return dict(pairs)

    try:
        json.loads(content, object_pairs_hook=once)
    except (ValueError, RecursionError):
        return


def authenticated(payload_type: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: what a signature is made over."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def opened(envelope: Envelope, ring: KeyRing, now: datetime) -> Claim:
    """The claim in an envelope that a key of the ring signed in its time. Raises ``InvalidInput`` with what is wrong."""
    payload, key = read(envelope, ring)
    try:
        statement = Statement.model_validate_json(payload)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise InvalidInput(f"The signed statement is none of ours: {place}: {first['msg']}.") from None
    claim = statement.predicate
    if statement.subject != subjects(claim):
        raise InvalidInput("The statement's subject is not what its claim is about.")
    in_time(claim.issued_at, key, now)
    return claim


def opened_waiver(envelope: Envelope, ring: KeyRing, now: datetime) -> Waiver:
    """The waiver in an envelope that a key of the ring signed in its time. Raises ``InvalidInput`` with what is wrong."""
    payload, key = read(envelope, ring)
    try:
        statement = WaiverStatement.model_validate_json(payload)
    except ValidationError:
        raise InvalidInput("The signed statement is no waiver.") from None
    if statement != waiver_statement(statement.predicate):
        raise InvalidInput("The waiver's subject is not what it allows.")
    in_time(statement.predicate.issued_at, key, now)
    return statement.predicate


def read(envelope: Envelope, ring: KeyRing) -> tuple[bytes, PublicKey]:
    """What an envelope holds, and which key of the ring signed it. Raises ``InvalidInput`` with what is wrong."""
    if envelope.payload_type != PAYLOAD_TYPE:
        raise InvalidInput(f"The payload's type is {envelope.payload_type!r}, not {PAYLOAD_TYPE!r}.")
    payload = _decoded(envelope.payload, "payload")
    key = _signer(envelope, payload, ring)
    said_once(payload, "The signed statement")
    return payload, key


def _signer(envelope: Envelope, payload: bytes, ring: KeyRing) -> PublicKey:
    """Who signed it. One good signature is not enough when there are bad ones beside it."""
    if len(envelope.signatures) != 1:
        raise InvalidInput(f"The envelope has {len(envelope.signatures)} signatures instead of one.")
    (signature,) = envelope.signatures
    key = next((one for one in ring.keys if one.keyid == signature.keyid), None)
    if key is None:
        raise InvalidInput(f"It is signed with a key that is not trusted: {signature.keyid[:16]}.")
    public = load_pem_public_key(key.pem.encode())
    assert isinstance(public, Ed25519PublicKey)
    try:
        public.verify(_decoded(signature.sig, "signature"), authenticated(envelope.payload_type, payload))
    except InvalidSignature:
        raise InvalidInput("The signature does not fit: the envelope was changed, or another key signed it.") from None
    if key.revoked:
        raise InvalidInput(f"The key {key.keyid[:16]} was revoked.")
    return key


def in_time(issued_at: datetime, key: PublicKey, now: datetime) -> None:
    """Raise ``InvalidInput`` where a statement's time is outside its key's, or in the future."""
    if issued_at.tzinfo is None:
        raise InvalidInput("The statement's time has no zone.")
    if not key.not_before <= issued_at <= key.not_after:
        raise InvalidInput(f"The key {key.keyid[:16]} was not valid when it signed, at {issued_at:%Y-%m-%d %H:%M} UTC.")
    if issued_at > now + CLOCK_SKEW:
        raise InvalidInput(f"It says that it was signed in the future, at {issued_at:%Y-%m-%d %H:%M} UTC.")


def _decoded(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput(f"The {what} is not base64; the envelope is damaged.") from None
