"""`python -m muster_packages deb|rpm|lock|stack|policy`, run from the checkout (Makefile)."""

import sys
from pathlib import Path

from muster_packages import checkout, deb, lock, rpm, stack
from muster_packages.errors import PackagingError

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: list[str]) -> int:
    """Build what the one argument names."""
    try:
        here = checkout.load(ROOT)
        match arguments:
            case ["deb"]:
                package = deb.build(here)
                print(f"{package.relative_to(ROOT)}  {package.stat().st_size / 1e6:.1f} MB")
            case ["rpm"]:
                package = rpm.build(here)
                print(f"{package.relative_to(ROOT)}  {package.stat().st_size / 1e6:.1f} MB")
            case ["lock"]:
                lock.write(here)
            case ["stack"]:
                print(stack.write(ROOT).relative_to(ROOT))
            case ["policy"]:
                from muster_packages import image_policy  # botocore is slow to import

                print(image_policy.write(ROOT).relative_to(ROOT))
            case _:
                print("usage: python -m muster_packages deb|rpm|lock|stack|policy", file=sys.stderr)
                return 2
    except PackagingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
