"""Purchases under any order of events, with real companies: replies lost, refused, untrue or late, messages true and forged, questions, stops, time
going by, and people who refund, replace, try again or give up by hand.

Whatever happens, a unit is bought once: what the companies' books say was handed out is what our attempts say succeeded, nobody got two, and in the
end every paid order is delivered or refunded. Only where a company denied what it sold, or two people did, is something bought in vain.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from app.fulfillment import overriding, reissuing
from tests.app.fulfillment.attempt_machine import DISTURBANCES, FAULTS, SPEAKERS, AttemptMachine
from tests.app.fulfillment.noticing import FAILED, PROTOCOL, SUCCEEDED, teller
from tests.simulators import SupplierSimulator, supplier_simulator
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
EXAMPLES, STEPS = 8, 24


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[SupplierSimulator]]:
    with ExitStack() as stack:
        yield [stack.enter_context(supplier_simulator(tmp_path_factory.mktemp(name), name)) for name in (PROTOCOL, "tango")]


@pytest.fixture
async def machine(world: World, both: list[SupplierSimulator]) -> type[AttemptMachine]:
    """The machine, in this world and its loop."""
    strangers = [await teller(world, both[0]), await teller(world, both[0], tenant=await world.new_tenant("Other"))]
    bound = {"world": world, "loop": asyncio.get_running_loop(), "companies": both, "strangers": strangers}
    return type("Machine", (AttemptMachine,), bound)


async def test_every_fault_alone_ends_well(machine: type[AttemptMachine]) -> None:
    """What chance may leave out of the runs below."""
    await asyncio.to_thread(_one_fault_after_the_other, machine())


def _one_fault_after_the_other(machine: AttemptMachine) -> None:
    machine.open_shop()
    for which in range(2):
        for fault in FAULTS:
            machine.buy_where_it_fails(which, fault)
    machine.teardown()


@pytest.mark.case("B06")
async def test_every_message_alone_ends_well(machine: type[AttemptMachine]) -> None:
    await asyncio.to_thread(_one_message_after_the_other, machine())


def _one_message_after_the_other(machine: AttemptMachine) -> None:
    machine.open_shop()
    for disturbance in DISTURBANCES:
        machine.disturb_the_next_message(disturbance)
        machine.buy(1)
        machine.work()
    for speaker in SPEAKERS:
        for claim in (FAILED, SUCCEEDED):
            for is_at_home in (True, False):
                machine.buy(1)
                machine.work()
                machine.tell(-1, claim, speaker, is_at_home)
    for forge in (None, "signature", "body", "other_client"):
        for is_at_home in (True, False):
            machine.say_again(0, 2, forge, is_at_home)
    machine.teardown()


@pytest.mark.case("B17")
async def test_every_hand_alone_ends_well(machine: type[AttemptMachine]) -> None:
    await asyncio.to_thread(_one_hand_after_the_other, machine())


def _one_hand_after_the_other(machine: AttemptMachine) -> None:
    machine.open_shop()
    hands = (
        lambda: machine.decide_alone(-1, overriding.send_again),
        lambda: machine.decide_alone(-1, overriding.mark_failed),
        lambda: machine.decide_in_twos(-1, is_approved=True, is_alone=True),
        lambda: machine.decide_in_twos(-1, is_approved=True, is_alone=False),
        lambda: machine.decide_in_twos(-1, is_approved=False, is_alone=False),
        lambda: machine.refund_by_hand(0),
        lambda: machine.take_back_by_hand(-1, reissuing.take_back),
        lambda: machine.take_back_by_hand(-1, reissuing.give_back),
        lambda: machine.ask_by_hand(-1),
    )
    for fault in ({}, {"drop": True}, {"before": "drop"}):
        for lay_hands in hands:
            machine.buy_where_it_fails(0, fault)
            if "before" in fault:
                machine.let_the_grace_pass()
            lay_hands()
            machine.no_money_is_on_its_way_back_while_goods_may_be_coming()
    machine.teardown()


async def test_purchases_hold_under_any_order_of_events(machine: type[AttemptMachine]) -> None:
    chosen = settings(
        database=None,
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
        phases=[Phase.generate],  # with real companies a run takes a second: its steps are told as they are, not made shorter
    )
    await asyncio.to_thread(run_state_machine_as_test, machine, settings=chosen)
