"""One company for all tests of pages; each test opens a client and goods of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.simulators import SupplierSimulator, supplier_simulator


@pytest.fixture(scope="session")
def kasushou(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupplierSimulator]:
    with supplier_simulator(tmp_path_factory.mktemp("northbank"), "kasushou") as started:
        yield started


@pytest.fixture
def company(kasushou: SupplierSimulator) -> Iterator[SupplierSimulator]:
    """The company, behaving well again after each test."""
    yield kasushou
    kasushou.clear_script()
