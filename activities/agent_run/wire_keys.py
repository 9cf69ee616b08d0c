"""The journal key of the model call under way, from the journal to the wire; the SDK's types have no place for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_KEY: ContextVar[str] = ContextVar("call_key", default="")


@contextmanager
def asked_as(key: str) -> Iterator[None]:
    """Model calls within the block have this key."""
    token = _KEY.set(key)
    try:
        yield
    finally:
        _KEY.reset(token)


def call_key() -> str:
    """The key of the present call; empty outside of a journaled run."""
    return _KEY.get()
