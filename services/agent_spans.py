"""The Agents SDK's spans as OpenTelemetry spans below the activity they belong to."""

from agents.tracing import Span, Trace, TracingProcessor
from opentelemetry import trace


class AgentSpans(TracingProcessor):
    """Names and times, never content."""

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer
        self._open: dict[str, trace.Span] = {}

    def on_trace_start(self, trace: Trace) -> None:
        """The activity's own span stands for the run."""

    def on_trace_end(self, trace: Trace) -> None:
        """See ``on_trace_start``."""

    def on_span_start(self, span: Span) -> None:
        """Open the counterpart, below its parent where that is one of ours."""
        parent = self._open.get(span.parent_id or "")
        context = trace.set_span_in_context(parent) if parent else None
        name = getattr(span.span_data, "name", None) or span.span_data.type
        self._open[span.span_id] = self._tracer.start_span(f"{span.span_data.type} {name}", context=context)

    def on_span_end(self, span: Span) -> None:
        """Close it, with its failure."""
        ours = self._open.pop(span.span_id, None)
        if ours is None:
            return
        if span.error:
            ours.set_status(trace.StatusCode.ERROR, span.error["message"])
        ours.end()

    def shutdown(self) -> None:
        """Nothing is held back."""

    def force_flush(self) -> None:
        """Nothing is held back."""
