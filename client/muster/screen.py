"""Lays out lines and tables. No clock, no terminal: both come in as values."""

from collections.abc import Callable, Iterator, Sequence

from muster.ages import ago, parse

GAP = "  "
LABEL = 11  # columns of the words at the left edge
SHORTEST = 9  # no cell is cut below this
CUT = ".."  # stands for what was left out

GOOD, BAD, ODD, FAINT, STRONG = "32", "31", "33", "2", "1"  # SGR parameters (ECMA-48, 8.3.117)

Cell = tuple[str, str]  # text, SGR parameter ("" for plain)


class Column:
    """One column of a table, and what may happen to it where the table is too wide.

    Args:
        name: its heading.
        cells: its body.
        brief: makes a text shorter without losing what it says.
        drop: the whole column may go; lower numbers go first. 0: never.
        least: of prose: columns it must keep before others are dropped for it. 0: all it needs.
    """

    def __init__(
        self,
        name: str,
        cells: Sequence[Cell],
        *,
        brief: Callable[[str], str] | None = None,
        drop: int = 0,
        least: int = 0,
    ) -> None:
        self.name = name
        self.cells = list(cells)
        self.brief = brief
        self.drop = drop
        self.least = least

    @property
    def width(self) -> int:
        """Columns of the terminal that it takes uncut."""
        return max(len(words) for words, _ in [(self.name, ""), *self.cells])

    @property
    def needs(self) -> int:
        """Columns of the terminal that it is to have."""
        return min(self.width, max(self.least, len(self.name))) if self.least else self.width

    def shorten(self) -> None:
        """Say it briefly, where that is possible and no two cells become the same."""
        if self.brief is None:
            return
        short = [self.brief(words) for words, _ in self.cells]
        if len(set(short)) == len({words for words, _ in self.cells}):
            self.cells = [
                (words, paint) for words, (_, paint) in zip(short, self.cells, strict=True)
            ]

    def cut(self, width: int) -> list[Cell]:
        """Return the cells within `width`: what differs between them is kept if possible."""
        texts = [words for words, _ in self.cells]
        shown = texts
        for way in (_head,) if self.least else (_ends, _tail, _head):
            shown = [way(words, width) for words in texts]
            if len(set(shown)) == len(set(texts)):
                break
        return [(words, paint) for words, (_, paint) in zip(shown, self.cells, strict=True)]


def _head(words: str, width: int) -> str:
    return words if len(words) <= width else words[: width - len(CUT)] + CUT


def _ends(words: str, width: int) -> str:
    if len(words) <= width:
        return words
    head = (width - len(CUT)) // 2
    return words[:head] + CUT + words[head + len(CUT) - width :]


def _tail(words: str, width: int) -> str:
    return words if len(words) <= width else CUT + words[len(CUT) - width :]


def host(name: str) -> str:
    """Return a host name without its domain."""
    return name.partition(".")[0]


def common_start(texts: Sequence[str]) -> str:
    """Return what all of several different texts begin with; "" for fewer than two."""
    first, last = min(texts, default=""), max(texts, default="")
    same = 0
    while same < len(first) and first[same] == last[same]:
        same += 1
    return first[:same] if first != last else ""


class Screen:
    """Collects lines; knows how wide they may be and whether they may be coloured.

    Args:
        now: seconds since 1970, for ages.
        colour: whether to paint.
        width: columns a line may take; 0 never cuts anything (pipes, files).
        height: lines there is room for; 0 for any number.
    """

    def __init__(
        self, now: float, *, colour: bool = False, width: int = 0, height: int = 0
    ) -> None:
        self.now = now
        self.lines: list[str] = []
        self.width = width
        self.height = height
        self._colour = colour

    def empty(self) -> "Screen":
        """Return another one of the same kind, with nothing on it."""
        return Screen(self.now, colour=self._colour, width=self.width, height=self.height)

    def paint(self, words: str, paint: str) -> str:
        """Return `words` in a colour, where colours are wanted."""
        return f"\x1b[{paint}m{words}\x1b[0m" if self._colour and paint and words else words

    def ago(self, stamp: str, *, short: bool = False) -> str:
        """Return the age of an RFC 3339 time in words."""
        return ago(stamp, self.now, short=short)

    def older(self, stamp: str, seconds: float) -> bool:
        """Tell whether an RFC 3339 time is longer ago than that."""
        moment = parse(stamp)
        return moment is not None and self.now - moment > seconds

    def line(self, label: str, words: str, paint: str = "", plain: str = "") -> None:
        """Add a labelled line, painted words before plain ones; long text goes on below itself."""
        first = self.paint(f"{label:<{LABEL}}", STRONG)
        painted = len(words)
        for piece in self.wrap(words + plain, LABEL):
            told = self.paint(piece[:painted], paint) + piece[painted:]
            self.lines.append((first + told).rstrip())
            painted = max(painted - len(piece) - 1, 0)
            first = " " * LABEL

    def heading(self, words: str, detail: str = "") -> None:
        """Begin a section."""
        first = self.paint(f"{words:<{LABEL}}" if detail else words, STRONG)
        self.lines.append("")
        for piece in self.wrap(detail, LABEL):
            self.lines.append((first + piece).rstrip())
            first = " " * LABEL

    def item(self, head: Cell, words: str, follow: str = "") -> None:
        """Add a list item: a painted word, a sentence, and what to do about it below."""
        indent = len(GAP) + len(head[0]) + len(GAP)
        lead = GAP + self.paint(*head) + GAP
        for piece in [*self.wrap(words, indent), *self.wrap(follow, indent)]:
            if piece:
                self.lines.append(lead + piece)
                lead = " " * indent

    def sentence(self, words: str, paint: str = "") -> None:
        """Add a sentence."""
        self.lines += [self.paint(piece, paint) for piece in self.wrap(words, 0)]

    def remark(self, words: str) -> None:
        """Add an indented sentence."""
        for piece in self.wrap(words, len(GAP)):
            self.lines.append(GAP + self.paint(piece, FAINT))

    def table(self, columns: Sequence[Column]) -> dict[str, int]:
        """Add aligned columns; where they do not fit, they say less (see `Column`).

        Returns:
            The columns that are shown, with their widths.
        """
        kept = list(columns)
        room = self.width - len(GAP) * len(kept)
        if self.width and sum(column.width for column in kept) > room:
            for column in kept:
                column.shorten()
            kept = self._without(kept)
        widths = self._widths(kept)
        cells = [
            [(column.name, FAINT), *column.cut(width)]
            for column, width in zip(kept, widths, strict=True)
        ]
        for row in zip(*cells, strict=True):
            words = [
                self.paint(text.ljust(width), paint)
                for (text, paint), width in zip(row, widths, strict=True)
            ]
            self.lines.append((GAP + GAP.join(words)).rstrip())
        return {column.name: width for column, width in zip(kept, widths, strict=True)}

    def _without(self, columns: list[Column]) -> list[Column]:
        """Leave out columns, the most dispensable first, until the rest has what it needs."""
        kept = columns
        for column in sorted((c for c in columns if c.drop), key=lambda c: c.drop):
            if sum(c.needs + len(GAP) for c in kept) <= self.width:
                break
            kept = [other for other in kept if other is not column]
        return kept

    def _widths(self, columns: list[Column]) -> list[int]:
        """Share the room out: first what each needs, then what is left, in order."""
        if not self.width:
            return [column.width for column in columns]
        widths = [column.needs for column in columns]
        left = self.width - sum(widths) - len(GAP) * len(columns)
        for index, column in enumerate(columns):
            more = min(column.width - widths[index], max(left, 0))
            widths[index] += more
            left -= more
        while left < 0 and max(widths) > SHORTEST:
            widths[widths.index(max(widths))] -= 1
            left += 1
        return widths

    def wrap(self, words: str, indent: int) -> list[str]:
        """Break a text at spaces and at its own line breaks.

        textwrap would cost more than the rest of this module.
        """
        return [piece for line in words.split("\n") for piece in self._broken(line, indent)]

    def _broken(self, words: str, indent: int) -> Iterator[str]:
        room = self.width - indent
        piece = ""
        for word in words.split(" ") if self.width and len(words) > room else [words]:
            if piece and len(piece) + 1 + len(word) > room:
                yield piece
                piece = word
            else:
                piece = f"{piece} {word}" if piece else word
        yield piece
