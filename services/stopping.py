"""Ctrl-C and SIGTERM as an event that a service waits for."""

import asyncio
import os
import signal


def stop_signal() -> asyncio.Event:
    """An event that ctrl-C or SIGTERM sets; a second ctrl-C ends at once."""
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()

    def stop() -> None:
        if stopping.is_set():
            os._exit(130)
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    return stopping
