"""What tests in several folders share."""

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture
def quiet_daemons() -> Iterator[None]:
    """Simulated daemons log nothing; whoever is tested after them logs as before."""
    # Without caching, unlike `many.quiet`: a cached logger would stay quiet for good.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.reset_defaults()
