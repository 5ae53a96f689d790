"""Writes every generated page of the checkout; tests compare them with what would be written."""

import sys

from muster_pages.catalogue import PAGES, ROOT


def main() -> int:
    """Write what changed, and say so."""
    for name, page in PAGES.items():
        path, text = ROOT / name, page()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
