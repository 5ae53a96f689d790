"""Fault points on real nodes: orders to their helpers, and what the journal tells of them."""

import re
from typing import Any

from muster_helper.faults import FOLDER

POINTS_FOLDER = f"/var/lib/muster-helper/{FOLDER}"
HELPERS = (
    *("journalctl", "--follow", "--lines=all", "--identifier=muster-helper"),
    *("--output=json", "--output-fields=MESSAGE"),
)
"""The command whose lines `point_of` understands."""

ARM = """
mkdir --parents "$1.new"
printf stop > "$1.new/$2"
mv "$1.new" "$1"
"""
"""Has the helper stop (SIGSTOP) at point $2; $1 is `POINTS_FOLDER`. Run by `sh -c`."""

_TOLD = re.compile(r"fault point (\S+): process (\d+) gets SIGSTOP")


def point_of(event: dict[str, Any]) -> tuple[str, str]:
    """Return the point at which a helper stopped and its process id; empty for any other event."""
    told = _TOLD.search(str(event.get("MESSAGE", "")))
    return (told[1], told[2]) if told else ("", "")
