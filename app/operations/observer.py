"""What happens when an operation is over: it is counted, written down in one line, and traced."""

import logging

from app.domain.access import ANONYMOUS, Principal
from app.execution.observing import Observation
from app.observability import OftenUsedLogger
from app.operations.metrics import Metrics
from app.operations.tracing import Tracing

NAME_LENGTH_MAX = 80

log = OftenUsedLogger()


class Observer:
    """Called by the endpoint for every operation."""

    def __init__(self, metrics: Metrics, tracing: Tracing | None) -> None:
        self._metrics = metrics
        self._tracing = tracing

    def __call__(self, seen: Observation) -> None:
        """Tell all who want to know."""
        self._metrics.observe(seen)
        write_line(seen)
        if self._tracing is not None:
            self._tracing.observe(seen)


def write_line(seen: Observation) -> None:
    """Write one line: neither variables nor the document, nor who it was."""
    logger = log.now
    if not logger.is_enabled_for(logging.INFO):
        return
    principal = seen.principal if isinstance(seen.principal, Principal) else ANONYMOUS
    logger.info(
        "operation",
        type=seen.operation_type,
        name=None if seen.name is None else seen.name[:NAME_LENGTH_MAX],
        outcome=seen.outcome,
        duration_ms=round(seen.duration_s * 1000, 2),
        principal=principal.kind.value,
        request_id=seen.request_id,
    )
