"""How much each MCP server is used, and how it fails: OpenTelemetry metrics, sent where the settings name an endpoint.

Third-party servers stand there under their own names.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from opentelemetry.metrics import get_meter

from contracts.errors import ToolDrift
from contracts.mcp_lock import PASSED_ON, THIRD_PARTY

Outcome = Literal["answered", "failed", "away"]
_METER = get_meter("patchwright.mcp")
_CALLS = _METER.create_counter("patchwright.mcp.calls", "{call}", "Calls of tools by server, tool and outcome")
_SECONDS = _METER.create_histogram("patchwright.mcp.call.duration", "s", "How long a call of a tool took")
_DRIFTS = _METER.create_counter("patchwright.mcp.drifts", "{drift}", "Connections refused because a server left its pin")


@dataclass
class Usage:
    """One call; whoever makes it says how it ended."""

    outcome: Outcome = "away"


@contextmanager
def counted(server: str, tool: str) -> Iterator[Usage]:
    """Around one call of a tool."""
    usage, begun = Usage(), time.monotonic()
    try:
        yield usage
    finally:
        named = tool.partition(PASSED_ON)[0] if server == THIRD_PARTY else server
        told = {"server": named, "tool": tool, "outcome": usage.outcome}
        _CALLS.add(1, told)
        _SECONDS.record(time.monotonic() - begun, told)


@contextmanager
def drift_counted(server: str) -> Iterator[None]:
    """Around holding a server against its pin."""
    try:
        yield
    except ToolDrift:
        _DRIFTS.add(1, {"server": server})
        raise
