"""`muster` and `python -m muster`."""

import sys

from muster import cli


def main() -> int:
    """Run the command line; console scripts give the result to sys.exit."""
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
