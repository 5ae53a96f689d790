"""Which files are generated, and by what."""

from collections.abc import Callable
from pathlib import Path

from muster_pages import completions, manual, schema

ROOT = Path(__file__).resolve().parents[2]

PAGES: dict[str, Callable[[], str]] = {
    schema.ADDRESS: schema.status_schema,
    completions.BASH_FILE: completions.bash,
    completions.ZSH_FILE: completions.zsh,
    "packaging/man/muster.1": manual.muster,
    "packaging/man/musterd.8": manual.musterd,
    "packaging/man/muster.toml.5": manual.configuration,
}
