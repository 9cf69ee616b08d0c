"""Logs for people, and traces over OTLP where an endpoint is set. Nothing is sent anywhere by default."""

import contextlib
import logging
import sys
from collections.abc import Iterator

import structlog
from agents import add_trace_processor
from agents.tracing import Span, Trace, TracingProcessor
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from temporalio.client import Interceptor
from temporalio.contrib.opentelemetry import TracingInterceptor

from services.settings import Settings

QUIET = (
    "httpx2",
    "httpcore2",
    "mcp",
    "openai",
    "openai.agents",
    "docker",
    "urllib3",
    "git",
    "alembic",
    "temporalio.workflow",
)
"""Loggers of libraries that repeat what the event log tells already; their warnings are kept."""
SILENT = ("temporalio.activity",)
"""Warns of each failed attempt with a traceback, expected ones too; the activity edge logs those that nobody foresaw."""


@contextlib.contextmanager
def telemetry(settings: Settings) -> Iterator[list[Interceptor]]:
    """Configure logs, and traces when an endpoint is set; gives the interceptors for Temporal's client."""
    _configure_logs(settings.log_level)
    if not settings.otlp_endpoint:
        yield []
        return
    provider = TracerProvider(resource=Resource.create({"service.name": "patchwright"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{settings.otlp_endpoint}/v1/traces")))
    trace.set_tracer_provider(provider)
    add_trace_processor(AgentSpans(provider.get_tracer("patchwright.agents")))
    try:
        yield [TracingInterceptor(provider.get_tracer("patchwright.temporal"))]
    finally:
        provider.shutdown()


def _configure_logs(level: str) -> None:
    shown = logging.getLevelNamesMapping()[level.upper()]
    shared = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer = structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(shown)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(shown, logging.WARNING))
    for name in SILENT:
        logging.getLogger(name).setLevel(logging.ERROR)


class AgentSpans(TracingProcessor):
    """The Agents SDK's spans as OpenTelemetry spans below the activity they belong to. Names and times, never content."""

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
