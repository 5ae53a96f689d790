"""`muster metrics`: numbers for Prometheus, which cannot ask a unix socket itself."""

import argparse

from muster.context import Context
from muster.contract import Exit

EXAMPLE = """examples:
  muster metrics | grep muster_quorate
  muster metrics > /var/lib/prometheus/node-exporter/muster.prom

packaging/monitoring has a timer for the latter, alerting rules and a dashboard;
docs/journal.md lists every metric."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options: there are none."""
    parser.epilog = EXAMPLE


def run(_: argparse.Namespace, context: Context) -> int:
    """Print what musterd counts."""
    context.out.write(context.client.metrics())
    context.out.flush()
    return Exit.OK
