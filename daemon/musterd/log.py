"""The log: one line an entry on standard error, which systemd hands to the journal.

Not the journal's own protocol: key=value reads well in `journalctl`, works without a journal too
(containers, a terminal), and spares the daemon another library. Each line begins with its
priority, `<6>` and the like, which systemd strips and honours (sd-daemon(3)).
"""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import TextIO

import structlog

_PRIORITIES = {
    "critical": 2,
    "error": 3,
    "warning": 4,
    "info": 6,
    "debug": 7,
}
_TOKEN_PREFIX = "mst1_"  # noqa: S105 the public prefix of every token
# Keys under which no value is ever logged, whatever calls put there.
_SECRET_KEYS = ("token", "seed", "secret", "password", "key")


def configure(*, debug: bool, environment: Mapping[str, str], stream: TextIO = sys.stderr) -> None:
    """Send every log entry, ours and the libraries', to `stream` as one line.

    Args:
        debug: log details too.
        environment: JOURNAL_STREAM in it tells that systemd reads the stream.
        stream: where lines go.
    """
    level = logging.DEBUG if debug else logging.INFO
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    to_journal = "JOURNAL_STREAM" in environment
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(),
                structlog.processors.format_exc_info,
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                hide_secrets,
                _Line(with_priority=to_journal),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # Their details are about every request; botocore's even show signed headers.
    for library in ("botocore", "urllib3", "asyncio", "aiohttp.access"):
        logging.getLogger(library).setLevel(logging.WARNING)


def hide_secrets(
    _logger: object, _method: str, entry: MutableMapping[str, object]
) -> MutableMapping[str, object]:
    """Replace values that must not be logged: a net under code that never passes any."""
    for name, value in entry.items():
        named = any(name == each or name.endswith("_" + each) for each in _SECRET_KEYS)
        if named or _TOKEN_PREFIX in str(value):
            entry[name] = "(hidden)"
    return entry


class _Line:
    """Renders priority, sentence, key=value; escapes line breaks, so that one line it stays."""

    def __init__(self, *, with_priority: bool) -> None:
        self._with_priority = with_priority

    def __call__(self, _logger: object, _method: str, entry: MutableMapping[str, object]) -> str:
        level = str(entry.pop("level", "info"))
        logger = entry.pop("logger", "")
        sentence = str(entry.pop("event", ""))
        exception = entry.pop("exception", None)
        parts = [sentence]
        parts += [f"{name}={_value(value)}" for name, value in entry.items()]
        parts += [f"logger={logger}"] if logger not in ("", "musterd") else []
        if exception is not None:
            parts.append(f"exception={str(exception)!r}")
        line = " ".join(parts).replace("\r", "\\r").replace("\n", "\\n")
        if self._with_priority:
            return f"<{_PRIORITIES.get(level, 6)}>{line}"
        return f"{level:<8} {line}"


def _value(value: object) -> str:
    text = str(value)
    return repr(text) if not text or any(letter in text for letter in " \"'=\n\r\t") else text
