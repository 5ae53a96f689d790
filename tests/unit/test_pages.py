"""Generated files are what `make pages` would write now."""

from collections.abc import Callable

import pytest

from muster_pages.catalogue import PAGES, ROOT


@pytest.mark.parametrize(("name", "page"), PAGES.items(), ids=str)
def test_the_page_is_current(name: str, page: Callable[[], str]) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == page(), "type `make pages`"
