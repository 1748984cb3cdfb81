"""Logs: one JSON object a line on standard error. Never a header, never a body, never a secret.

What is logged is what a call site names; there is no middleware that logs requests, and no traceback holds values.
"""

import logging
import sys

import structlog


def configure() -> None:
    """Once a process, before anything is logged."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
