"""Two companies that sell the same, each a process with a book of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from app.fulfillment import buying
from tests.simulators import SupplierSimulator, supplier_simulator


@pytest.fixture(scope="module")
def two_companies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[SupplierSimulator]]:
    with ExitStack() as stack:
        yield [stack.enter_context(supplier_simulator(tmp_path_factory.mktemp(name), "tango")) for name in ("a", "b")]


@pytest.fixture
def companies(two_companies: list[SupplierSimulator]) -> Iterator[list[SupplierSimulator]]:
    for company in two_companies:
        company.clear_script()
    yield two_companies
    buying._pumps.clear()
