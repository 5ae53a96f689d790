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
    """One verb: its line in the overview, its usage, options, and the examples below them.

    `steps` are what may follow some verbs as a second word, each with options of its own.
    """

    name: str
    summary: str
    usage: str
    options: tuple[Option, ...]
    epilog: str
    steps: tuple["Verb", ...]

    @property
    def every_option(self) -> tuple[Option, ...]:
        """Its own options, and those of its steps, each once."""
        found = {each.words: each for step in self.steps for each in step.options if each.words}
        return (*self.options, *found.values())


def verbs() -> tuple[Verb, ...]:
    """Return every verb, in the order of `muster --help`."""
    return tuple(_verb(name, summary) for name, (_, summary) in cli.VERBS.items())


def _verb(name: str, summary: str) -> Verb:
    parser = cli.parser_of(name, import_module(cli.VERBS[name][0]), WIDTH)
    return _described(name, summary, parser)


def _described(name: str, summary: str, parser: argparse.ArgumentParser) -> Verb:
    usage = " ".join(parser.format_usage().removeprefix("usage: ").split())
    steps = [
        _described(step, (each.description or "").rstrip("."), each)
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for step, each in action.choices.items()
    ]
    return Verb(name, summary, usage, options_of(parser), parser.epilog or "", tuple(steps))


def options_of(parser: argparse.ArgumentParser) -> tuple[Option, ...]:
    """Return a parser's options, without --help."""
    return tuple(
        _option(action)
        for action in parser._actions  # argparse has no other list of them
        if not isinstance(action, argparse._HelpAction | argparse._SubParsersAction)
    )


def _option(action: argparse.Action) -> Option:
    choices = tuple(map(str, action.choices or ()))
    metavar = action.metavar if isinstance(action.metavar, str) else ""
    takes = action.nargs != 0
    value = metavar or (("|".join(choices) or action.dest.upper()) if takes else "")
    return Option(tuple(action.option_strings), value, action.help or "", choices)
