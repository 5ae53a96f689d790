"""`muster timeline`: how a cluster came to be, from boot to formed, over all nodes."""

import argparse
from pathlib import Path

from muster.context import Context
from muster.contract import Exit
from muster.errors import ClientError, UnreachableError
from muster.fields import Document, part, text
from muster.history import OWN, History
from muster.timeline import lanes, sources

EXAMPLE = """examples:
  sudo muster timeline
  muster timeline --svg founding.svg
  muster timeline node-1.json node-2.json    # of `muster events --json` on each

Other nodes are drawn as far as they told this one; files of each node's own
events give every node's whole story. After a restart of musterd, the journal of
this boot is asked instead."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = EXAMPLE
    parser.add_argument("files", nargs="*", metavar="FILE", help="events of nodes, a file a node")
    parser.add_argument("--svg", metavar="FILE", help="write a picture for a browser")


def run(options: argparse.Namespace, context: Context) -> int:
    """Draw it."""
    title, timeline = _files(options.files) if options.files else _here(context)
    if options.svg:
        from muster.timeline import svg

        try:
            Path(options.svg).write_text(svg.draw(timeline, title), encoding="utf-8")
        except OSError as error:
            raise ClientError(f"cannot write {options.svg}", why=str(error)) from error
        context.say(timeline.summary(), f"wrote {options.svg}")
        return Exit.OK
    from muster.timeline import text as drawing

    context.say(*drawing.draw(timeline, context.screen()))
    return Exit.OK


def _files(paths: list[str]) -> tuple[str, lanes.Timeline]:
    histories = [(Path(path).stem, sources.of_file(path)) for path in paths]
    for path, (_, history) in zip(paths, histories, strict=True):
        if not history.tracks[OWN].bars:
            raise ClientError(
                f"{path} tells nothing",
                why="it holds no events",
                cure="on that node: muster events --json > events.json",
            )
    now = max(history.last for _, history in histories)
    return "founding", lanes.build(histories, boot=None, now=now)


def _here(context: Context) -> tuple[str, lanes.Timeline]:
    """Draw this node's events: musterd's own, or the journal's after a restart."""
    document: Document = {}
    try:
        document = context.client.status()
        history: History | None = sources.of_musterd(context.client)
    except UnreachableError:
        history = None
    if history is None or not lanes.tells_founding(history):
        history = sources.of_journal()
    name = text(part(document, "self"), "name") or "this node"
    title = text(part(document, "cluster"), "name") or "founding"
    boot, now = None, history.last
    if history.start is not None:
        boot = sources.uptime_at(history.start, context.wall())
        now = context.wall() - history.start
    return title, lanes.build([(name, history)], boot=boot, now=now)
