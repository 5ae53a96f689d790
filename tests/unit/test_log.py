"""The log: one line an entry, priorities for the journal, no secrets."""

import io
import logging
from collections.abc import Iterator

import pytest
import structlog

from musterd import log


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Configure logging as under systemd, and put it back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    log.configure(debug=False, environment={"JOURNAL_STREAM": "8:1"}, stream=stream)
    yield stream
    structlog.reset_defaults()
    root.handlers, root.level = handlers, level


def test_an_entry_is_a_sentence_and_its_fields(lines: io.StringIO) -> None:
    structlog.get_logger("musterd").warning("waiting", phase="electing", why="one is missing")
    assert lines.getvalue() == "<4>waiting phase=electing why='one is missing'\n"


@pytest.fixture
def sent() -> Iterator[list[tuple[str, ...]]]:
    """Configure logging as under systemd with its binding; give what the journal is told."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    entries: list[tuple[str, ...]] = []
    log.configure(
        debug=False,
        environment={"JOURNAL_STREAM": "8:1"},
        journal=lambda *fields: entries.append(fields),
    )
    yield entries
    structlog.reset_defaults()
    root.handlers, root.level = handlers, level


def test_the_journal_gets_the_line_and_every_field(sent: list[tuple[str, ...]]) -> None:
    event = structlog.get_logger("musterd")
    event.info("laying", kind="step", phase="founding", step="lay", instance_id="i-1")
    assert sent == [
        (
            "MESSAGE=laying kind=step phase=founding step=lay instance_id=i-1",
            "SYSLOG_IDENTIFIER=musterd",
            "PRIORITY=6",
            "MUSTER_KIND=step",
            "MUSTER_PHASE=founding",
            "MUSTER_STEP=lay",
            "MUSTER_INSTANCE_ID=i-1",
            "MUSTER_LOGGER=musterd",
        )
    ]


def test_no_secret_is_a_field(sent: list[tuple[str, ...]]) -> None:
    structlog.get_logger("musterd").info("got it", token="mst1_abc", why="mst1_abc")
    assert "MUSTER_TOKEN=(hidden)" in sent[0]
    assert not any("mst1_" in field for field in sent[0])


def test_a_library_s_error_has_its_priority_and_its_traceback(
    sent: list[tuple[str, ...]],
) -> None:
    try:
        int("the reason")
    except ValueError:
        logging.getLogger("library").exception("it broke")
    assert "PRIORITY=3" in sent[0]
    assert "MUSTER_LOGGER=library" in sent[0]
    assert any(field.startswith("MUSTER_EXCEPTION=Traceback") for field in sent[0])


def test_libraries_speak_the_same_way(lines: io.StringIO) -> None:
    logging.getLogger("library").error("it %s", "broke")
    assert lines.getvalue() == "<3>it broke logger=library\n"


def test_details_are_for_debugging_only(lines: io.StringIO) -> None:
    structlog.get_logger("musterd").debug("detail")
    logging.getLogger("botocore").info("signed headers")
    assert lines.getvalue() == ""


@pytest.mark.parametrize("text", ["two\nlines", "return\rs"])
def test_a_peers_words_never_make_a_second_line(lines: io.StringIO, text: str) -> None:
    structlog.get_logger("musterd").info(text, why=text)
    assert lines.getvalue().count("\n") == 1
    assert "\r" not in lines.getvalue()


def test_a_traceback_stays_on_its_line(lines: io.StringIO) -> None:
    try:
        int("the reason")
    except ValueError:
        structlog.get_logger("musterd").exception("it failed")
    assert lines.getvalue().count("\n") == 1
    assert "the reason" in lines.getvalue()


@pytest.mark.parametrize(
    "fields",
    [
        {"token": "hunter2"},
        {"cluster_token": "hunter2"},
        {"seed": "hunter2"},
        {"why": "mst1_hunter2"},
        {"body": {"token": "mst1_hunter2"}},
    ],
)
def test_secrets_are_never_shown(lines: io.StringIO, fields: dict[str, object]) -> None:
    structlog.get_logger("musterd").info("something", **fields)
    assert "hunter2" not in lines.getvalue()
    assert "(hidden)" in lines.getvalue()


def test_on_a_terminal_the_level_is_a_word() -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    log.configure(debug=True, environment={}, stream=stream)
    structlog.get_logger("musterd").debug("detail")
    structlog.reset_defaults()
    root.handlers, root.level = handlers, level
    assert stream.getvalue() == "debug    detail\n"
