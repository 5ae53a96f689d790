"""Whose work is in a package, under which terms: read from the bundled libraries themselves."""

from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

HEADER = """\
This package holds muster and, in /usr/lib/muster/lib, libraries that it needs.

muster
    Copyright (C) 2026 its authors
    Terms: none have been chosen yet; all rights are its authors'.

Each library keeps the full text of its licence in NAME-VERSION.dist-info. On Debian, that of
Apache-2.0 is in /usr/share/common-licenses/Apache-2.0 too.
"""
# Older metadata says it with a classifier: "License :: OSI Approved :: MIT License".
CLASSIFIER = "License :: OSI Approved :: "


def text(libraries: Path) -> str:
    """Return the notice for a folder of installed libraries."""
    entries = [HEADER]
    for metadata in sorted(libraries.glob("*.dist-info/METADATA")):
        told = HeaderParser().parsestr(metadata.read_text(encoding="utf-8"))
        author = told["Author"] or told["Author-email"] or told["Maintainer-email"] or "see there"
        entries.append(
            f"{told['Name']} {told['Version']}\n    Terms: {terms(told)}\n    Copyright: {author}\n"
        )
    return "\n".join(entries)


def terms(told: Message) -> str:
    """Return the licence as the metadata names it, however old its form."""
    if expression := told["License-Expression"]:
        return str(expression)
    if (short := told["License"]) and "\n" not in short:
        return str(short)
    classifiers = told.get_all("Classifier") or []
    named = [each.removeprefix(CLASSIFIER) for each in classifiers if each.startswith(CLASSIFIER)]
    return ", ".join(named) or "see its dist-info"
