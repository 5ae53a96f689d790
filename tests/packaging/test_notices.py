"""Whose work a package brings: every library, and every part that was compiled into one."""

import json
import re

from muster_packages import notices
from muster_packages.unpacked import Unpacked

# Words of SPDX expressions and of older metadata that name terms.
KNOWN = re.compile(r"MIT|Apache|BSD|PSF|Unicode|Zlib|Unlicense")


def notice(unpacked: Unpacked) -> str:
    return unpacked.at("/usr/share/doc/muster/copyright").read_text(encoding="utf-8")


def entries(words: str) -> dict[str, str]:
    """What is said of each library, by its name and version."""
    blocks = words.split("\n\n")
    return {block.partition("\n")[0]: block for block in blocks if "\n    Terms: " in block}


def test_each_library_is_named_with_its_terms_and_brings_their_text(unpacked: Unpacked) -> None:
    told = {
        name.lower().replace("_", "-"): text for name, text in entries(notice(unpacked)).items()
    }
    folders = list(unpacked.libraries.glob("*.dist-info"))
    assert len(folders) > 15
    for folder in folders:
        name, _, version = folder.name.removesuffix(".dist-info").rpartition("-")
        entry = told[f"{name.lower().replace('_', '-')} {version}"]
        [terms] = re.findall(r"^    Terms: (.*)$", entry, re.MULTILINE)
        assert KNOWN.search(terms), entry
        texts = [path for path in folder.rglob("*") if re.match("(?i)licen|copying", path.name)]
        assert any(path.is_file() and path.stat().st_size > 200 for path in texts), folder.name


def test_each_part_that_was_compiled_in_is_named_with_its_terms(unpacked: Unpacked) -> None:
    words = " ".join(notice(unpacked).split())
    parts = [
        part
        for bill in unpacked.libraries.glob("*.dist-info/sboms/*.json")
        for part in json.loads(bill.read_text(encoding="utf-8"))["components"]
    ]
    assert {"openssl", "pyo3", "jiter"} <= {part["name"] for part in parts}
    assert [p["name"] for p in parts if f"{p['name']} {p['version']}" not in words] == []
    assert notices.UNTOLD not in words
    assert re.search(r"Apache-2\.0: [^:]*openssl \d", words)
    assert re.search(r"^cffi .*\n(    .*\n)+        MIT: libffi$", notice(unpacked), re.MULTILINE)
