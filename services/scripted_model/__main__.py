"""``python -m services.scripted_model --port N --script demo``."""

import argparse
import asyncio
import contextlib
import importlib
import signal

from services.scripted_model.script import Script
from services.scripted_model.server import serve

KNOWN = {"demo": "services.demo.script:script"}


def load_script(name: str) -> Script:
    """A script by its short name, or by ``module:attribute``."""
    module, separator, attribute = KNOWN.get(name, name).partition(":")
    if not separator:
        raise SystemExit(f"There is no script {name!r}; write one of {', '.join(KNOWN)} or module:attribute.")
    return getattr(importlib.import_module(module), attribute)


async def _main(arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    latency, idempotent = arguments.latency_ms / 1000, not arguments.forgetful
    script = load_script(arguments.script)
    async with serve(script, port=arguments.port, latency_seconds=latency, idempotent=idempotent) as server:
        print(f"Scripted answers (no model) at {server.base_url}; counts at http://127.0.0.1:{server.port}/stats", flush=True)
        await stop.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="services.scripted_model", description="Serve scripted answers over OpenAI's wire.")
    parser.add_argument("--port", type=int, default=0, help="loopback port; 0 takes a free one")
    parser.add_argument("--script", default="demo", help="demo, or module:attribute of an object with answer(request)")
    parser.add_argument("--latency-ms", type=float, default=0, help="how long each answer takes")
    parser.add_argument("--forgetful", action="store_true", help="take no notice of an Idempotency-Key")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main(parser.parse_args()))
