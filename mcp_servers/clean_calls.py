"""Nothing that passes a server holds a secret that the server holds: neither what it is told to write nor what it answers."""

from dataclasses import replace
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from pydantic import BaseModel

from contracts.redaction import Redactor


class CleanCalls:
    """Middleware of an MCP server that takes secrets out of the arguments and the results of its tools."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        if self._redactor and ctx.params and "arguments" in ctx.params:
            clean = self._redactor.redact_value(ctx.params["arguments"])
            ctx = replace(ctx, params={**ctx.params, "arguments": clean})
        return self._clean(await call_next(ctx))

    def _clean(self, answered: HandlerResult) -> HandlerResult:
        if not isinstance(answered, BaseModel):
            return self._redactor.redact_value(answered)
        told = answered.model_dump(mode="json", by_alias=True)
        clean = self._redactor.redact_value(told)
        return answered if clean is told else type(answered).model_validate(clean)
