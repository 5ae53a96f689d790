"""The manual pages: muster(1) from its own help, musterd(8), muster.toml(5) from its page."""

from pathlib import Path

from muster_pages import roff
from muster_pages.commands import Option, Verb, verbs

ROOT = Path(__file__).resolve().parents[2]


def muster() -> str:
    """Return the page of the client."""
    prose = _prose("muster")
    before, _, after = prose.partition("## COMMANDS\n")
    told = "\n\n".join(_verb(verb) for verb in verbs())
    summary = "asks and directs musterd, which founds a Pacemaker cluster on EC2"
    return roff.page("muster", 1, summary, f"{before}## COMMANDS\n\n{told}\n{after}")


def musterd() -> str:
    """Return the page of the daemon."""
    return roff.page("musterd", 8, "founds one Pacemaker cluster on EC2", _prose("musterd"))


def configuration() -> str:
    """Return the page of the spec."""
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    intro, _, rest = text.partition("\n## ")
    body = f"## DESCRIPTION\n{intro.partition(chr(10))[2]}\n## {rest}\n{_prose('muster.toml')}"
    return roff.page("muster.toml", 5, "which cluster muster is to found", body)


def _prose(name: str) -> str:
    return (ROOT / "docs" / "man" / f"{name}.md").read_text(encoding="utf-8")


def _verb(verb: Verb) -> str:
    """Return a verb's part: its usage, what it does, its options, its examples."""
    # The epilog's own headings end with a colon; below each stands what is to be shown as it is.
    lines = [
        f"### {verb.name}",
        f"`{verb.usage}`",
        f"{verb.summary[0].upper()}{verb.summary[1:]}.",
        _options(verb.options),
        *(part for step in verb.steps for part in _step(step)),
        *_epilog(verb.epilog),
    ]
    return "\n\n".join(line for line in lines if line)


def _step(step: Verb) -> list[str]:
    """Return what a verb's second word does."""
    return [f"`{step.usage}`", f"{step.summary}.", _options(step.options)]


def _epilog(epilog: str) -> list[str]:
    """Indented lines are examples, the others sentences."""
    blocks: list[tuple[bool, list[str]]] = []
    for line in epilog.split("\n"):
        shown = line.startswith("  ")
        if line.strip() and (not blocks or blocks[-1][0] != shown):
            blocks.append((shown, []))
        if line.strip():
            blocks[-1][1].append(line.strip())
    return [
        "```sh\n" + "\n".join(lines) + "\n```\n" if shown else " ".join(lines)
        for shown, lines in blocks
    ]


def _options(options: tuple[Option, ...]) -> str:
    if not options:
        return ""
    rows = [f"| {_named(option)} | {option.text} |" for option in options]
    return "\n".join(["| option | |", "|---|---|", *rows])


def _named(option: Option) -> str:
    words = ", ".join(f"`{word}`" for word in option.words)
    value = option.value.replace("|", " or ")
    return " ".join(filter(None, (words, value)))
