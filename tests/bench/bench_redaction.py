"""What it costs to look for held secrets: megabytes a second of prompts, code and logs, clean and with a secret in them.

The ledger remembers clean beginnings, so a growing conversation is looked at once; `again` is the next call of the same one.
"""

import asyncio
import json
import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from contracts.redaction import GrowingRedactor
from services.ledger.clean_prompts import CleanPrompts
from tests.bench import form

ROOT = Path(__file__).resolve().parents[2]
HELD = 8
ROUNDS = 5
MEGABYTE = 1_000_000


def _seconds(deed: Callable[[], Any]) -> float:
    """The shortest of a few rounds."""
    spent = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        deed()
        spent.append(time.perf_counter() - begun)
    return min(spent)


def prompt(text: str, turns: int) -> bytes:
    """A conversation of so many tool results."""
    size = len(text) // turns
    said = [{"type": "function_call_output", "call_id": f"c{n}", "output": text[n * size : (n + 1) * size]} for n in range(turns)]
    return json.dumps({"model": "m", "input": said}, ensure_ascii=False).encode()


def measured() -> list[tuple[str, float, float, float]]:
    """Kind, megabytes, milliseconds, megabytes a second."""
    clean = GrowingRedactor()
    for number in range(HELD):
        clean.learn(f"secret {number}", secrets.token_urlsafe(32))
    held = clean._held["secret 0"][0]
    code = "".join(path.read_text() for path in sorted((ROOT / "services").rglob("*.py")))[:MEGABYTE]
    log = "\n".join(f"tests/test_{n}.py::test_{n} PASSED [{n % 100:3d}%]" for n in range(20_000))[:MEGABYTE]
    body, prompts = prompt(code, 50), CleanPrompts(clean)
    longer = body[:-2] + b',{"role":"user","content":"go on"}]}'
    asyncio.run(prompts.of(body))
    deeds: list[tuple[str, int, Callable[[], Any]]] = [
        ("code", len(code), lambda: clean.finds(code)),
        ("log of tests", len(log), lambda: clean.finds(log)),
        ("prompt, new", len(body), lambda: asyncio.run(CleanPrompts(clean).of(body))),
        ("prompt, again", len(longer), lambda: asyncio.run(prompts.of(longer))),
        ("code with a secret, cut", len(code), lambda: clean.redact(f"{code[: len(code) // 2]} {held} {code[len(code) // 2 :]}")),
    ]
    figures = [(name, size / MEGABYTE, _seconds(deed)) for name, size, deed in deeds]
    return [(name, size, spent * 1_000, size / spent) for name, size, spent in figures]


def main() -> None:
    """Measure and report."""
    as_json = form.options(__doc__ or "").parse_args().json
    rows = measured()
    table = form.table(f"Looking for {HELD} secrets", ("text", "MB", "ms", "MB/s"), rows)
    figures = {name: {"mb": size, "ms": spent, "mb_per_second": speed} for name, size, spent, speed in rows}
    form.report("redaction", figures, [table], as_json, on=form.machine())


if __name__ == "__main__":
    main()
