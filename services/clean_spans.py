"""Traces leave without any secret that we hold: names, attributes, events and failures."""

from collections.abc import Sequence

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace.status import Status

from contracts.redaction import Redactor


class CleanSpans(SpanExporter):
    """Takes secrets out of spans before another exporter sends them."""

    def __init__(self, inner: SpanExporter, clean: Redactor) -> None:
        self._inner, self._clean = inner, clean

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send them, each as a copy where it held a secret."""
        return self._inner.export([self._cleaned(span) for span in spans] if self._clean else spans)

    def shutdown(self) -> None:
        """End the other exporter."""
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """As the other exporter does it."""
        return self._inner.force_flush(timeout_millis)

    def _cleaned(self, span: ReadableSpan) -> ReadableSpan:
        clean = self._clean
        events = [Event(clean.redact(event.name), clean.redact_value(dict(event.attributes or {})), event.timestamp)
                  for event in span.events]
        told = span.status.description
        return ReadableSpan(
            name=clean.redact(span.name), context=span.context, parent=span.parent, resource=span.resource,
            attributes=clean.redact_value(dict(span.attributes or {})), events=events, links=span.links, kind=span.kind,
            status=Status(span.status.status_code, clean.redact(told) if told else told),
            start_time=span.start_time, end_time=span.end_time, instrumentation_scope=span.instrumentation_scope,
        )  # fmt: skip
