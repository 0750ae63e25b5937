"""Logging to stderr: readable lines on a terminal, JSON lines elsewhere.

Event names are the closed list EVENTS. All lines, those of libraries too, pass through the
redactor, which masks every secret.
"""

import logging
import sys
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

import structlog

from bot.app.settings.config import MASK

EVENTS = frozenset({
    "daemon_started", "daemon_stopping", "cycle", "cycle_failed", "feeds_failed", "notice",
    "parity_differs", "parity_failed", "parity_given_up", "parity_identical", "rows_refused",
    "source_fetched", "source_waited",
})  # fmt: skip
SECRET_KEYS = frozenset(
    {"x-api-key", "api_key", "api-key", "authorization", "key", "password", "secret", "token"}
)

Processor = Callable[[Any, str, MutableMapping[str, Any]], MutableMapping[str, Any]]


def redactor(secrets: Callable[[], Sequence[str]]) -> Processor:
    """Make the processor that masks values under secret names, and secret values everywhere.

    secrets: lists them anew for each line, because keys may be replaced.
    """
    return lambda _logger, _method, entry: _mask(entry, tuple(filter(None, secrets())))


def _mask(value: object, secrets: tuple[str, ...]) -> Any:
    match value:
        case dict():
            return {
                name: MASK if str(name).lower() in SECRET_KEYS else _mask(v, secrets)
                for name, v in value.items()
            }
        case list() | tuple():
            return [_mask(item, secrets) for item in value]
        case None | int() | float():
            return value
    text = str(value)
    for secret in secrets:
        text = text.replace(secret, MASK)
    return text


def set_up_logs(secrets: Callable[[], Sequence[str]] = tuple, *, level: int = logging.INFO) -> None:
    """Configure structlog and the standard library's logging to one redacted stream on stderr."""
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(
            structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        ),
        redactor(secrets),
    ]
    last: Any = (
        structlog.dev.ConsoleRenderer()
        if sys.stderr.isatty()
        else structlog.processors.JSONRenderer(sort_keys=True)
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for noisy in ("httpx", "httpcore", "apscheduler", "alembic", "sqlalchemy"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
