"""argv to boot; nothing else."""

import argparse
import os
import sys

from musterd import log
from musterd.adapters import systemd
from musterd.boot import run
from musterd.errors import MusterError


def main() -> int:
    """Run musterd; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="musterd",
        description="Founds and keeps one Pacemaker cluster of this node and its peers."
        " Started by systemd: `systemctl start musterd`.",
    )
    parser.add_argument("--debug", action="store_true", help="log details too")
    options = parser.parse_args()
    log.configure(debug=options.debug, environment=os.environ, journal=systemd.journal())
    try:
        run()
    except MusterError as error:
        sys.stderr.write(f"musterd: {error.sentence}; {error.cure}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
