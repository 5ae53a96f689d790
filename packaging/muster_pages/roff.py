"""Markdown, as the project's own pages use it, to manual pages (man(7))."""

import re
from collections.abc import Iterator

DATE = "2026-11-23"  # of the last change to what the pages say
_BLOCK = re.compile(r"\n\s*\n")


def page(name: str, section: int, summary: str, body: str) -> str:
    """Return a manual page.

    Args:
        name: what it describes.
        section: of the manual.
        summary: for its NAME line.
        body: headings (##, ###), paragraphs, lists, tables, fenced examples.
    """
    title = name.upper().replace("-", r"\-")
    head = f'.TH "{title}" {section} "{DATE}" "muster" "muster"\n.SH NAME\n'
    blocks = "".join(_blocks(body))
    # A paragraph begins with a heading; saying so twice is a fault to mandoc.
    blocks = re.sub(r"^(\.S[HS] .*\n)\.PP\n", r"\1", blocks, flags=re.MULTILINE)
    return f"{head}{_text(name)} \\- {_text(summary)}\n{blocks}"


def _blocks(body: str) -> Iterator[str]:
    fenced = re.split(r"^```\w*\n(.*?)^```$", body, flags=re.MULTILINE | re.DOTALL)
    for number, part in enumerate(fenced):
        if number % 2:
            lines = "\n".join(_line(line) for line in part.rstrip("\n").split("\n"))
            yield f".PP\n.RS 4\n.nf\n{lines}\n.fi\n.RE\n"
            continue
        for block in _BLOCK.split(part):
            if block.strip():
                yield from _block(block.strip("\n"))


def _block(block: str) -> Iterator[str]:
    if block.startswith("### "):
        yield f".SS {_text(block[4:])}\n"
    elif block.startswith("## "):
        yield f".SH {_text(block[3:])}\n"
    elif block.startswith("# "):
        return
    elif block.startswith("|"):
        yield from _table(block)
    elif re.match(r"(\d+\.|-) ", block):
        for item in re.split(r"\n(?=(?:\d+\.|-) )", block):
            mark, _, words = item.partition(" ")
            bullet = r"\(bu" if mark == "-" else mark
            yield f".IP {bullet} 4\n{_line(' '.join(words.split()))}\n"
    else:
        yield f".PP\n{_line(' '.join(block.split()))}\n"


def _table(block: str) -> Iterator[str]:
    """A row a paragraph: its first cell before the rest; a middle one is a key's default."""
    rows = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in block.split("\n")]
    head, *body = (row for row in rows if not set("".join(row)) <= set("-|: "))
    for first, *rest in body:
        default = ""
        if len(rest) > 1 and len(head) > 1 and head[1] in {"default", "value"}:
            default = f"({head[1]}: {rest.pop(0)}) "
        words = " ".join([default + rest[0], *rest[1:]] if rest else [default])
        yield f".TP\n{_line(first)}\n{_line(words) or '.'}\n"


def _line(words: str) -> str:
    """Return a line of text that roff takes for nothing else."""
    text = _text(words)
    return rf"\&{text}" if text.startswith((".", "'")) else text


def _text(words: str) -> str:
    """Escape what is special, and set code in bold; a link is its words."""
    words = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", words)
    parts = words.replace("\\", r"\e").split("`")
    bold = [rf"\fB{part}\fR" if number % 2 else part for number, part in enumerate(parts)]
    return "".join(bold).replace("-", r"\-").replace("…", "...").replace("**", "")
