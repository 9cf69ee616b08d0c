"""The texts of a value made of mappings and lists: all of them as one text, and the value with others in their place."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any


def leaves(value: Any) -> str:
    """Every text and number of a value, one a line: first what it says, then its keys."""
    told: list[str] = []
    keys: list[str] = []
    _gather(value, told, keys)
    return "\n".join([*told, *keys])


def rebuilt(
    value: Any, text: Callable[[str], str], content: Callable[[bytes], bytes], number: Callable[[float], float] = lambda n: n
) -> Any:
    """The value with each text, key, bytes and number replaced; what stays the same stays the same object."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, bytes):
        return content(value)
    if isinstance(value, Mapping):
        pairs = [(text(name) if isinstance(name, str) else name, rebuilt(below, text, content, number))
                 for name, below in value.items()]
        return value if _same(pairs, value.items()) else dict(_told_apart(pairs))
    if isinstance(value, list | tuple):
        below = [rebuilt(part, text, content, number) for part in value]
        return value if all(new is old for new, old in zip(below, value, strict=True)) else type(value)(below)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(value)
    return value


def _gather(value: Any, told: list[str], keys: list[str]) -> None:
    if isinstance(value, str):
        told.append(value)
    elif isinstance(value, bytes):
        told.append(value.decode("utf-8", "surrogateescape"))
    elif isinstance(value, Mapping):
        for name, below in value.items():
            if isinstance(name, str):
                keys.append(name)
            _gather(below, told, keys)
    elif isinstance(value, list | tuple):
        for below in value:
            _gather(below, told, keys)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        told.append(str(value))


def _same(new: list[tuple[Any, Any]], old: Any) -> bool:
    return all(a is c and b is d for (a, b), (c, d) in zip(new, old, strict=True))


def _told_apart(pairs: list[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
    """Two keys that are the same by now are both kept: nothing of a message is lost but the secret."""
    seen: set[Any] = set()
    for name, below in pairs:
        again = 1
        told = name
        while told in seen:
            again += 1
            told = f"{name} {again}"
        seen.add(told)
        yield told, below
