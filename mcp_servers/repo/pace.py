"""How fast a credential may use a forge: one writer at a time, a pause between writes, and silence while it is limited.

What is known of a credential is kept in a small file, so that every process of this machine that shares the folder keeps one
pace: the service, a second one that is just taking over, a command beside it. Machines share nothing but the forge's patience.
"""

import fcntl
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from urllib.parse import quote

from contracts.errors import RateLimited

LONGEST_SECONDS = 3_900.0
"""A primary limit is reset within the hour; a clock that is wrong, here or there, must not stop us for longer."""
GUESSES_ARE_ONE_STORY = 600.0
"""Seconds after a guessed wait within which the next limit without a time means that the guess was too short."""


@dataclass
class Kept:
    """What is known of a credential, in seconds of the epoch."""

    last_write: float = 0.0
    silent_until: float = 0.0
    guess: float = 0.0
    """The wait that was guessed last, when the forge named none."""
    guessed_until: float = 0.0


class Pace:
    """Shared by everything that uses one credential. Blocks: call it in a thread."""

    def __init__(
        self, seconds_between_writes: float = 1.0, file: Path | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        """``file``: where processes share it; None keeps it to this object."""
        self._between = seconds_between_writes
        self._clock = clock
        self._writing = threading.Lock()
        self._changing = threading.Lock()
        self._file = file
        self._here = Kept()

    @contextmanager
    def write(self) -> Iterator[None]:
        """Around one writing request: nobody else writes with this credential meanwhile."""
        with self._writing, self._turn():
            pause = self._read().last_write + self._between - self._clock()
            if pause > 0:
                time.sleep(min(pause, self._between))
            try:
                yield
            finally:
                self._note(lambda kept: setattr(kept, "last_write", self._clock()))

    def refuse_while_limited(self) -> None:
        """Raise ``RateLimited`` without asking: a forge that is asked again meanwhile limits longer."""
        left = min(self._read().silent_until - self._clock(), LONGEST_SECONDS)
        if left > 0:
            raise RateLimited(f"The forge wants us to wait {left:.0f} s more; nothing was asked.", left)

    def limited(self, failure: RateLimited) -> RateLimited:
        """The forge wants silence; the failure with how long. Where it named no time, each guess is twice the one before."""

        def note(kept: Kept) -> None:
            now = self._clock()
            if failure.guessed:
                again = kept.guess and now - kept.guessed_until < GUESSES_ARE_ONE_STORY
                kept.guess = min(2 * kept.guess, LONGEST_SECONDS) if again else failure.retry_after_seconds
                kept.guessed_until = now + kept.guess
                failure.retry_after_seconds = kept.guess
            kept.silent_until = max(min(kept.silent_until, now + LONGEST_SECONDS), now + failure.retry_after_seconds)

        self._note(note)
        told = RateLimited(f"{failure.message} It goes on in {failure.retry_after_seconds:.0f} s.", failure.retry_after_seconds)
        told.guessed = failure.guessed
        return told

    # -- where it is kept --------------------------------------------------------------------------------------

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One process at a time. The lock is the kernel's: whoever dies gives it back."""
        if self._file is None:
            yield
            return
        with self._file.with_suffix(".lock").open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def _read(self) -> Kept:
        if self._file is None:
            return self._here
        try:
            with self._file.open() as handle:
                fcntl.flock(handle, fcntl.LOCK_SH)
                return _parsed(handle.read())
        except FileNotFoundError:
            return Kept()

    def _note(self, change: Callable[[Kept], None]) -> None:
        if self._file is None:
            with self._changing:
                change(self._here)
            return
        with self._file.open("a+") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            handle.seek(0)
            kept = _parsed(handle.read())
            change(kept)
            handle.seek(0)
            handle.truncate()
            handle.write(json.dumps(asdict(kept)))


class Paces:
    """The pace of each credential of this service, by name."""

    def __init__(self, folder: Path | None = None) -> None:
        """``folder``: where they are shared with other processes; None shares them within this one."""
        self._folder = folder
        self._known: dict[str, Pace] = {}
        self._making = threading.Lock()

    def of(self, name: str, seconds_between_writes: float) -> Pace:
        """The pace of a credential, e.g. ``github.com/makers`` for the installation at an owner. Same name, same pace."""
        with self._making:
            if name not in self._known:
                self._known[name] = Pace(seconds_between_writes, self._file(name))
            return self._known[name]

    def _file(self, name: str) -> Path | None:
        if self._folder is None:
            return None
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self._folder / f"{quote(name.lower(), safe='')}.json"


def _parsed(text: str) -> Kept:
    try:
        told = json.loads(text)
        return Kept(**{field.name: float(told[field.name]) for field in fields(Kept)})
    except (ValueError, KeyError, TypeError):
        # New, or half written when a machine lost its power: nothing is known.
        return Kept()
