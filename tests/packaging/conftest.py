"""The package as a user gets it: built from the checkout, unpacked."""

from pathlib import Path

import pytest

from muster_packages import checkout, deb
from muster_packages.unpacked import Unpacked, unpack


@pytest.fixture(scope="session")
def sources() -> checkout.Checkout:
    return checkout.load(Path(__file__).resolve().parents[2])


@pytest.fixture(scope="session")
def unpacked(sources: checkout.Checkout, tmp_path_factory: pytest.TempPathFactory) -> Unpacked:
    """Build (a fraction of a second when nothing changed) and unpack."""
    return unpack(deb.build(sources), tmp_path_factory.mktemp("package"))
