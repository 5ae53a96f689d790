"""The log: one line an entry, and in the journal its fields beside it.

The line (a sentence, then key=value) reads well everywhere: in `journalctl`, in a terminal, in a
container. Where the journal's own protocol is at hand, each key is a field of the entry too, so
that `journalctl MUSTER_PHASE=founding` finds it (docs/journal.md); elsewhere lines go to standard
error, which systemd hands to the journal, each with its priority (`<6>`, sd-daemon(3)).
"""

import logging
import sys
from collections.abc import Callable, Mapping, MutableMapping
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


# Fields of an entry in the journal, each "NAME=value"; sd_journal_sendv(3).
Send = Callable[..., object]


def configure(
    *,
    debug: bool,
    environment: Mapping[str, str],
    stream: TextIO = sys.stderr,
    journal: Send | None = None,
) -> None:
    """Send every log entry, ours and the libraries', to the journal or to `stream` as one line.

    Args:
        debug: log details too.
        environment: JOURNAL_STREAM in it tells that systemd reads the stream.
        stream: where lines go without `journal`.
        journal: takes an entry's fields.
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
    line = _Line(with_priority=to_journal and journal is None, bare=journal is not None)
    handler = logging.StreamHandler(stream) if journal is None else _ToJournal(journal, line)
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
                line,
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


class _ToJournal(logging.Handler):
    """Sends each entry with its fields; what the line was made of is taken from its maker."""

    def __init__(self, send: Send, line: "_Line") -> None:
        super().__init__()
        self._send = send
        self._line = line

    def emit(self, record: logging.LogRecord) -> None:
        """Send one entry; logging calls this with the handler locked."""
        try:
            message = self.format(record)
            self._send(f"MESSAGE={message}", *journal_fields(self._line.last))
        except OSError:
            self.handleError(record)


def journal_fields(entry: Mapping[str, object]) -> list[str]:
    """Return an entry's fields as the journal wants them: PRIORITY, and the others as MUSTER_*."""
    priority = _PRIORITIES.get(str(entry.get("level", "info")), 6)
    fields = ["SYSLOG_IDENTIFIER=musterd", f"PRIORITY={priority}"]
    for name, value in entry.items():
        if name not in {"level", "event"}:
            # The journal drops fields with other letters than these (sd_journal_send(3)).
            key = "".join(letter if letter.isalnum() else "_" for letter in name.upper())
            if key.isascii():
                fields.append(f"MUSTER_{key}={value}")
    return fields


class _Line:
    """Renders priority, sentence, key=value; escapes line breaks, so that one line it stays.

    Attributes:
        last: what the last line was made of.
    """

    def __init__(self, *, with_priority: bool, bare: bool) -> None:
        self._with_priority = with_priority
        self._bare = bare  # the level is told elsewhere
        self.last: Mapping[str, object] = {}

    def __call__(self, _logger: object, _method: str, entry: MutableMapping[str, object]) -> str:
        self.last = dict(entry)
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
        if self._bare:
            return line
        return f"{level:<8} {line}"


def _value(value: object) -> str:
    text = str(value)
    return repr(text) if not text or any(letter in text for letter in " \"'=\n\r\t") else text
