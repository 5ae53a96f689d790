"""Which files are generated, and by what."""

from collections.abc import Callable
from pathlib import Path

from muster_pages import schema

ROOT = Path(__file__).resolve().parents[2]

PAGES: dict[str, Callable[[], str]] = {
    schema.ADDRESS: schema.status_schema,
}
