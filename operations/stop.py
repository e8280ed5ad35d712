"""`./quanyi stop`: end the demo of this checkout, or what a crash left of it."""

import argparse
import os
import signal

from operations.leftovers import clear_leftovers
from operations.places import DATA
from operations.processes import wait_for
from operations.record import read_record

STOP_WAIT_S = 60.0


def run(arguments: list[str]) -> int:
    argparse.ArgumentParser(prog="./quanyi stop", description="Stop the demo of this checkout.").parse_args(arguments)
    if not stop_everything():
        print("Nothing of this checkout runs.")
    return 0


def stop_everything() -> bool:
    """Ask the leader to stop and wait until it has. Returns whether anything ran. Idempotent."""
    record = read_record(DATA)
    if record is None or not record.leader.is_alive():
        return clear_leftovers(DATA, say=print)
    leader = record.leader
    print(f"Stopping the demo (process {leader.pid}) ...", flush=True)
    os.kill(leader.pid, signal.SIGTERM)
    otherwise = f"Process {leader.pid} did not stop within {STOP_WAIT_S:.0f} s. Its log files are in {DATA / 'logs'}."
    wait_for(lambda: not leader.is_alive(), wait_s=STOP_WAIT_S, otherwise=otherwise)
    clear_leftovers(DATA, say=print)
    print("Stopped.")
    return True
