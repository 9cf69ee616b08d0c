"""How expected failures cross MCP: text for a model to act on, and the failure's class for the service."""

import functools
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar

from mcp.types import CallToolResult, TextContent

from contracts.errors import HostRefused, PatchwrightError, RateLimited, as_disk_full

P = ParamSpec("P")
R = TypeVar("R")


def tell_failures(tool: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R | CallToolResult]]:
    """Turn a ``PatchwrightError`` of an async tool, or a full disk, into an error result that says which class it was.

    Stands below ``@server.tool()``. Any other exception stays what it is: the server logs it with its traceback.
    """

    @functools.wraps(tool)
    async def told(*args: P.args, **kwargs: P.kwargs) -> R | CallToolResult:
        try:
            return await tool(*args, **kwargs)
        except PatchwrightError as error:
            return failure(as_disk_full(error) or error)
        except Exception as error:
            if (full := as_disk_full(error)) is None:
                raise
            return failure(full)

    return told


def failure(error: PatchwrightError) -> CallToolResult:
    """An error result: the message as text, and ``{"error": {...}}`` with the failure's class as structured content."""
    return CallToolResult(
        is_error=True,
        content=[TextContent(type="text", text=error.message)],
        structured_content={
            "error": {
                "code": error.code,
                "message": error.message,
                "retryable": error.retryable,
                "infrastructure": error.infrastructure,
                **({"place": error.place, "rule": error.rule} if isinstance(error, HostRefused) else {}),
                **({"retry_after_seconds": error.retry_after_seconds} if isinstance(error, RateLimited) else {}),
            }
        },
    )


def answer(text: str, structured: dict[str, Any] | None = None) -> CallToolResult:
    """A result with text for a model and, where the service needs it, the same as structured content."""
    return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=structured)
