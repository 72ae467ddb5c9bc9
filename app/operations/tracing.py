"""OpenTelemetry traces of operations, by the conventions for GraphQL servers. Needs the extra `otel`.

A span is made when its operation is over, with the times that it had: one span an operation, a child of the caller's
if the request carries `traceparent`. Nothing here is imported unless tracing is on.
"""

import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from app.execution.observing import OK, UNKNOWN, Observation
from app.settings import SettingsError, environment_variable

# Whose fault it is: these are the server's, all others the caller's.
FAULTS = frozenset({"INTERNAL_SERVER_ERROR", "SERVICE_UNAVAILABLE", "OVERLOADED", "TIMEOUT"})


class Tracing:
    """Makes spans; `close` sends what has not been sent yet."""

    def __init__(self, provider: Any, *, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._api = import_module("opentelemetry.trace")
        self._propagate = import_module("opentelemetry.propagate")
        self._provider = provider
        self._tracer = provider.get_tracer("coffer")
        self._clock_ns = clock_ns

    def observe(self, seen: Observation) -> None:
        """Make the span of an operation."""
        ended_ns = self._clock_ns()
        known = seen.operation_type != UNKNOWN
        # Neither the document nor variables: both may hold personal data. The name is the caller's, so it is no
        # part of the span's.
        attributes = {"graphql.operation.type": seen.operation_type} if known else {}
        if seen.name is not None:
            attributes["graphql.operation.name"] = seen.name[:100]
        if seen.outcome != OK:
            attributes["error.type"] = seen.outcome
        span = self._tracer.start_span(
            seen.operation_type if known else "GraphQL Operation",
            context=self._propagate.extract(dict(seen.headers)),
            kind=self._api.SpanKind.SERVER,
            attributes=attributes,
            start_time=ended_ns - int(seen.duration_s * 1e9),
        )
        if seen.outcome in FAULTS:
            span.set_status(self._api.Status(self._api.StatusCode.ERROR, seen.outcome))
        span.end(end_time=ended_ns)

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


def otlp_tracing() -> Tracing:
    """Return tracing that sends to the collector that OpenTelemetry's own variables name."""
    try:
        sdk = import_module("opentelemetry.sdk.trace")
        export = import_module("opentelemetry.sdk.trace.export")
        resources = import_module("opentelemetry.sdk.resources")
        otlp = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    except ImportError as error:
        raise SettingsError(
            f"{environment_variable('tracing')}: {error.name} is not installed. "
            "Install Coffer with its extra: pip install 'coffer[otel]'."
        ) from None
    resource = resources.Resource.create({"service.name": "coffer"})
    provider = sdk.TracerProvider(resource=resource)
    provider.add_span_processor(export.BatchSpanProcessor(otlp.OTLPSpanExporter()))
    return Tracing(provider)
