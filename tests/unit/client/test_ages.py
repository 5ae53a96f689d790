"""Times for people."""

import pytest

from muster.ages import ago, parse, span

NOON = 1_767_268_800.0  # 2026-01-01T12:00:00Z


@pytest.mark.parametrize(
    ("stamp", "words"),
    [
        ("2026-01-01T11:59:59Z", "just now"),
        ("2026-01-01T11:59:58Z", "2 seconds ago"),
        ("2026-01-01T11:59:00Z", "1 minute ago"),
        ("2026-01-01T11:56:01Z", "3 minutes ago"),
        ("2026-01-01T11:00:00+00:00", "1 hour ago"),
        ("2025-12-31T12:00:00Z", "24 hours ago"),
        ("2025-12-29T13:00:00Z", "2 days ago"),
        ("2026-01-01T12:03:00Z", "in 3 minutes"),
        ("", "never"),
        ("yesterday", "yesterday"),
        ("2026-01-01T11:00:00", "2026-01-01T11:00:00"),
    ],
)
def test_an_age_is_told_in_its_largest_unit(stamp: str, words: str) -> None:
    assert ago(stamp, NOON) == words


def test_fractions_of_seconds_are_kept() -> None:
    assert parse("2026-01-01T12:00:00.250Z") == NOON + 0.25


def test_a_span_below_a_second_is_a_moment() -> None:
    assert span(0.4) == "a moment"
