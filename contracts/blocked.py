"""What something on behalf of a task tried to reach and did not: told on the task, in its audit log and in the pull request."""

from collections.abc import Iterable

from pydantic import Field

from contracts.word import Word

MOST_PLACES = 50
"""Different places that one command or check tells of; what goes beyond is counted together."""
OTHERS = "other places"
"""Stands for places beyond the limit."""
PLACE_CHARACTERS = 260


class BlockedAttempt(Word):
    """One place that was asked for and not reached. Nothing was sent there."""

    place: str
    """``HOST:PORT``, or ``HOST`` alone where only its address was looked up; printable, since untrusted code chose it."""
    count: int = Field(default=1, ge=1)
    rule: str
    """Which rule said no, as ``Decision.rule``."""
    reason: str
    """One sentence for people and models."""

    @property
    def host(self) -> str:
        """The place without its port."""
        host, colon, port = self.place.rpartition(":")
        return host if colon and port.isascii() and port.isdigit() else self.place

    @property
    def port(self) -> int:
        """0 where only an address was looked up."""
        port = self.place[len(self.host) + 1 :]
        return int(port) if port.isdigit() and int(port) <= 65_535 else 0


def printable_place(place: str) -> str:
    """What untrusted code called a place, in characters that neither a terminal nor a reader takes for anything else."""
    return "".join(letter if " " < letter <= "~" else "?" for letter in place[:PLACE_CHARACTERS]) or "(nothing)"


def summed(attempts: Iterable[BlockedAttempt], most: int = MOST_PLACES) -> tuple[BlockedAttempt, ...]:
    """Each place once, what was asked for most often first; at most ``most``, the last one for all that are left over."""
    by_place: dict[str, BlockedAttempt] = {}
    for one in attempts:
        known = by_place.get(one.place)
        by_place[one.place] = one if known is None else known.model_copy(update={"count": known.count + one.count})
    left = by_place.pop(OTHERS, None)
    found = sorted(by_place.values(), key=lambda one: -one.count)
    rest = found[most - 1 :] if len(found) >= most and (left or len(found) > most) else []
    kept = found[: len(found) - len(rest)]
    if over := sum(one.count for one in rest) + (left.count if left else 0):
        kept.append(BlockedAttempt(place=OTHERS, count=over, rule=(left or rest[0]).rule, reason=(left or rest[0]).reason))
    return tuple(kept)


def told(attempts: Iterable[BlockedAttempt], most: int = 10) -> str:
    """One line for people and models; empty when there was none."""
    found = summed(attempts)
    if not found:
        return ""
    shown = ", ".join(f"{one.place} ({one.count} times)" if one.count > 1 else one.place for one in found[:most])
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return f"It tried to reach {shown}{more}; nothing was sent there. {found[0].reason}"
