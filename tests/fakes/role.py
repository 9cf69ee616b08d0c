"""A role for the supervisor: ``stays`` until it is ended; ``late FILE`` dies in its first lives and then stays."""

import os
import sys
import threading
from pathlib import Path

READY = "ready"
"""As in ``services.process``, which takes seconds to import."""
LIVES = 3
"""So many of them are short."""


def main(name: str) -> None:
    """Live as the name says."""
    kind, _, counter = name.partition(" ")
    if kind == "late":
        with Path(counter).open("a+b") as lives:
            lives.write(b".")
            lives.flush()
            if lives.tell() <= LIVES:
                os._exit(1)
    sys.stdout.write(READY + "\n")
    sys.stdout.flush()
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1])
