"""Logs for people, and traces and metrics over OTLP where an endpoint is set. Nothing is sent anywhere by default."""

import contextlib
import logging
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import structlog

from contracts.redaction import NOTHING_HELD, RedactingFormatter, Redactor
from services.held_secrets import redactor
from services.settings import Settings

if TYPE_CHECKING:
    from temporalio.client import Interceptor

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
def telemetry(settings: Settings) -> Iterator["list[Interceptor]"]:
    """Configure logs, and traces and metrics when an endpoint is set; gives the interceptors for Temporal's client."""
    configure_logs(settings.log_level, redactor(settings))
    if not settings.otlp_endpoint:
        yield []
        return
    # Loaded for those who want traces only: it is 20 MB and a second of every other process.
    from agents import add_trace_processor
    from opentelemetry import metrics, trace
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from temporalio.contrib.opentelemetry import TracingInterceptor

    from services.agent_spans import AgentSpans
    from services.clean_spans import CleanSpans

    resource = Resource.create({"service.name": "patchwright"})
    provider = TracerProvider(resource=resource)
    exporter = CleanSpans(OTLPSpanExporter(endpoint=f"{settings.otlp_endpoint}/v1/traces"), redactor(settings))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=f"{settings.otlp_endpoint}/v1/metrics"))
    meters = MeterProvider([reader], resource)
    metrics.set_meter_provider(meters)
    add_trace_processor(AgentSpans(provider.get_tracer("patchwright.agents")))
    try:
        yield [TracingInterceptor(provider.get_tracer("patchwright.temporal"))]
    finally:
        provider.shutdown()
        meters.shutdown()


def configure_logs(level: str, clean: Redactor = NOTHING_HELD) -> None:
    """Send logs to stderr, without any secret that ``clean`` knows: coloured text on a terminal, JSON lines elsewhere."""
    shown = logging.getLevelNamesMapping()[level.upper()]
    shared = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer = structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    handler = logging.StreamHandler(sys.stderr)
    written = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            renderer,
        ],
    )
    handler.setFormatter(RedactingFormatter(written, clean))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(shown)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(shown, logging.WARNING))
    for name in SILENT:
        logging.getLogger(name).setLevel(logging.ERROR)
