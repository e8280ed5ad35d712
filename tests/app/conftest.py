"""What tests of several slices start: a supplier's company."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.simulators import SupplierSimulator, supplier_simulator


@pytest.fixture(scope="module")
def one_company(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupplierSimulator]:
    """A process with a book of its own that speaks the protocol the module names as `COMPANY`."""
    with supplier_simulator(tmp_path_factory.mktemp("company"), request.module.COMPANY) as company:
        yield company


@pytest.fixture
def company(one_company: SupplierSimulator) -> SupplierSimulator:
    """The module's company, well again whatever the test before did to it."""
    one_company.clear_script()
    one_company.conduct(state="up", latency_ms=0, decide_ms=0)
    return one_company
