"""``python -m services.ledger``: the ledger as a process of its own, by the settings of the environment."""

import sys

from contracts.errors import PatchwrightError
from services.ledger.serving import serve
from services.settings import load
from services.telemetry import telemetry

try:
    from uvloop import run
except ImportError:  # there is none for Windows
    from asyncio import run


def main() -> None:
    """Run until ctrl-C or SIGTERM."""
    try:
        settings = load()
        with telemetry(settings):
            run(serve(settings))
    except PatchwrightError as error:
        sys.exit(error.message)


if __name__ == "__main__":
    main()
