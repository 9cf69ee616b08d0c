"""What Temporal keeps holds no secret of ours: inputs, results, signals, and the words of failures with their causes."""

import asyncio
from collections.abc import Sequence

from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.converter import PayloadCodec

from contracts.redaction import Redactor

LARGE = 32 << 10
"""Bytes; a larger payload is looked through in a thread."""


class CleanPayloads(PayloadCodec):
    """Takes secrets out of whatever leaves for Temporal. What comes back is as it was kept."""

    def __init__(self, clean: Redactor) -> None:
        self._clean = clean

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """The payloads; those that held a secret, without it."""
        return [await self._encoded(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """The payloads as they are."""
        return list(payloads)

    async def encode_failure(self, failure: Failure) -> None:
        """Also what a failure says, and each of its causes: message, stack and source are no payloads."""
        told: Failure | None = failure
        while told is not None:
            told.message = self._clean.redact(told.message)
            told.stack_trace = self._clean.redact(told.stack_trace)
            told = told.cause if told.HasField("cause") else None
        await super().encode_failure(failure)

    async def _encoded(self, payload: Payload) -> Payload:
        if not self._clean:
            return payload
        written = payload.data
        if len(written) > LARGE:
            clean = await asyncio.to_thread(self._clean.redact_json, written)
        else:
            clean = self._clean.redact_json(written)
        return payload if clean is written else Payload(metadata=payload.metadata, data=clean)
