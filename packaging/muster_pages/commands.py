"""What the command line is, read off its own parsers: the one source of help, manual and shells."""

import argparse
from dataclasses import dataclass
from importlib import import_module

from muster import cli

WIDTH = 80  # columns


@dataclass(frozen=True)
class Option:
    """One option or argument: its words, the name of its value, its help, its choices."""

    words: tuple[str, ...]
    value: str
    text: str
    choices: tuple[str, ...]


@dataclass(frozen=True)
class Verb:
    """One verb: its line in the overview, its usage, options, and the examples below them."""

    name: str
    summary: str
    usage: str
    options: tuple[Option, ...]
    epilog: str


def verbs() -> tuple[Verb, ...]:
    """Return every verb, in the order of `muster --help`."""
    return tuple(_verb(name, summary) for name, (_, summary) in cli.VERBS.items())


def _verb(name: str, summary: str) -> Verb:
    parser = cli.parser_of(name, import_module(cli.VERBS[name][0]), WIDTH)
    usage = " ".join(parser.format_usage().removeprefix("usage: ").split())
    return Verb(name, summary, usage, options_of(parser), parser.epilog or "")


def options_of(parser: argparse.ArgumentParser) -> tuple[Option, ...]:
    """Return a parser's options, without --help."""
    return tuple(
        _option(action)
        for action in parser._actions  # argparse has no other list of them
        if not isinstance(action, argparse._HelpAction)
    )


def _option(action: argparse.Action) -> Option:
    choices = tuple(map(str, action.choices or ()))
    metavar = action.metavar if isinstance(action.metavar, str) else ""
    takes = action.nargs != 0
    value = metavar or (("|".join(choices) or action.dest.upper()) if takes else "")
    return Option(tuple(action.option_strings), value, action.help or "", choices)
