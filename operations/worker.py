"""`./quanyi worker`: the worker only."""

import argparse

from operations.foreground import run_alone


def run(arguments: list[str]) -> int:
    argparse.ArgumentParser(prog="./quanyi worker", description="Start the worker only.").parse_args(arguments)
    return run_alone(["-m", "workers"])
