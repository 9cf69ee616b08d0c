"""The service's signing key: made on first use, followed by a new one when its time is over; the public ones are kept."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from contracts.artifact import digest
from contracts.errors import InvalidInput
from contracts.evidence import KeyRing, PublicKey

LIFETIME = timedelta(days=365)
RING = "keys.json"
"""The public keys: what a reviewer needs to check signatures elsewhere."""
SECRET = "signing-key.pem"  # noqa: S105
LOCK = "keys.lock"


class SigningKeys:
    """A folder with one private key (mode 0600) and the ring of public ones. Safe to be used by several processes."""

    def __init__(self, folder: Path, lifetime: timedelta = LIFETIME) -> None:
        self.folder = folder
        self._lifetime = lifetime

    def ring(self) -> KeyRing:
        """Every public key so far; none before the first use."""
        path = self.folder / RING
        return KeyRing.model_validate_json(path.read_bytes()) if path.is_file() else KeyRing()

    def current(self, now: datetime | None = None) -> tuple[Ed25519PrivateKey, PublicKey]:
        """The key to sign with. Raises ``InvalidInput`` when the private key on disk is none, or not of the ring."""
        now = now or datetime.now(UTC)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._alone():
            ring = self.ring()
            newest = ring.keys[-1] if ring.keys else None
            if newest is None or newest.revoked or now >= newest.not_after:
                return self._made(ring, now)
            return self._read(newest), newest

    def _made(self, ring: KeyRing, now: datetime) -> tuple[Ed25519PrivateKey, PublicKey]:
        private = Ed25519PrivateKey.generate()
        public = PublicKey(
            keyid=key_id(private),
            pem=private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
            not_before=now,
            not_after=now + self._lifetime,
        )
        # The private key first: a ring that names a key nobody has would have to be mended by hand.
        self._replace(SECRET, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
        self._replace(RING, KeyRing(keys=(*ring.keys, public)).model_dump_json(indent=2).encode(), 0o644)
        return private, public

    def _read(self, newest: PublicKey) -> Ed25519PrivateKey:
        path = self.folder / SECRET
        try:
            private = load_pem_private_key(path.read_bytes(), password=None)
        except (OSError, ValueError) as error:
            raise InvalidInput(f"The signing key {path} cannot be read ({error}); restore it, or remove {RING} too.") from None
        if not isinstance(private, Ed25519PrivateKey) or key_id(private) != newest.keyid:
            raise InvalidInput(f"The signing key {path} is not the newest of {RING}; restore both from the same backup.")
        return private

    def _replace(self, name: str, content: bytes, mode: int) -> None:
        handle, draft = tempfile.mkstemp(dir=self.folder, prefix=".new-")
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(self.folder / name)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with (self.folder / LOCK).open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def key_id(key: Ed25519PrivateKey) -> str:
    """The id of a key's public half."""
    return digest(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
