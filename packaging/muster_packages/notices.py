"""Whose work is in a package, under which terms: read from the bundled libraries themselves.

What was compiled into a library stands in the bill of materials that its wheel brings (CycloneDX,
in `sboms`; PEP 770).
"""

import json
import textwrap
from collections.abc import Iterator
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
# Short forms that name no terms; the classifiers then do.
VAGUE = {"Dual License"}
# A part whose terms no bill says, and one that is in no bill, by their projects' own licence files.
TERMS = {"openssl": "Apache-2.0"}
UNLISTED = {"cffi": ("MIT", "libffi")}
UNTOLD = "not told"
WIDTH = 79
CLASSIFIER = "License :: OSI Approved :: "


def text(libraries: Path) -> str:
    """Return the notice for a folder of installed libraries."""
    entries = [HEADER]
    for metadata in sorted(libraries.glob("*.dist-info/METADATA")):
        told = HeaderParser().parsestr(metadata.read_text(encoding="utf-8"))
        author = told["Author"] or told["Author-email"] or told["Maintainer-email"] or "see there"
        entries.append(
            f"{told['Name']} {told['Version']}\n    Terms: {terms(told)}\n    Copyright: {author}\n"
            + "".join(inside(metadata.parent, told["Name"]))
        )
    return "\n".join(entries)


def inside(folder: Path, library: str) -> Iterator[str]:
    """Yield lines on what was compiled into a library, the parts of the same terms together.

    Args:
        folder: the library's dist-info.
        library: its name.
    """
    found: dict[str, list[str]] = {}
    for bill in sorted(folder.glob("sboms/*.json")):
        for part in json.loads(bill.read_text(encoding="utf-8"))["components"]:
            told = (
                [each.get("expression") or each["license"]["id"] for each in part["licenses"]]
                if part.get("licenses")
                else [TERMS.get(part["name"], UNTOLD)]
            )
            found.setdefault(" AND ".join(told), []).append(f"{part['name']} {part['version']}")
    if library in UNLISTED:
        under, name = UNLISTED[library]
        found.setdefault(under, []).append(name)
    if found:
        yield "    Compiled in, or used to compile it, by its bill of materials:\n"
    for under, parts in sorted(found.items()):
        yield (
            textwrap.fill(
                f"{under}: {', '.join(sorted(parts))}",
                width=WIDTH,
                initial_indent=" " * 8,
                subsequent_indent=" " * 10,
                break_long_words=False,
                break_on_hyphens=False,
            )
            + "\n"
        )


def terms(told: Message) -> str:
    """Return the licence as the metadata names it, however old its form."""
    if expression := told["License-Expression"]:
        return str(expression)
    if (short := told["License"]) and "\n" not in short and short not in VAGUE:
        return str(short)
    classifiers = told.get_all("Classifier") or []
    named = [each.removeprefix(CLASSIFIER) for each in classifiers if each.startswith(CLASSIFIER)]
    return ", ".join(named) or "see its dist-info"
