"""`python -m operations COMMAND`: each command is a module here with `run(arguments) -> exit code`."""

import argparse
import importlib
import importlib.util
import socket
import sys
from dataclasses import dataclass

import asyncpg

from operations.signals import StopAsked, stop_on_signals
from operations.trouble import Trouble
from tenants.bootstrap import DatabaseRefused
from tenants.embedded_files import DatabaseUnavailable


@dataclass(frozen=True)
class Command:
    """A command's module; `needs_settings` says that it runs with the settings of a database that is up."""

    module: str
    needs_settings: bool = False


COMMANDS = {
    "demo": Command("operations.demo"),
    "test": Command("operations.test"),
    "check": Command("operations.check"),
    "smoke": Command("operations.smoke"),
    "bench": Command("benchmarks.__main__"),
    "torture": Command("torture.__main__"),
    "serve": Command("operations.serve"),
    "worker": Command("operations.worker"),
    "migrate": Command("operations.migrate", needs_settings=True),
    "check-invariants": Command("operations.check_invariants", needs_settings=True),
    "audit": Command("operations.audit_trail", needs_settings=True),
    "backup": Command("operations.backup", needs_settings=True),
    "restore": Command("operations.restore", needs_settings=True),
    "reconcile": Command("operations.reconcile", needs_settings=True),
    "keys": Command("operations.key_changes", needs_settings=True),
    "prepare": Command("operations.prepare"),
    "seed": Command("operations.seed", needs_settings=True),
    "stop": Command("operations.stop"),
    "reset": Command("operations.reset"),
    "doctor": Command("operations.doctor"),
}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./quanyi")
    parser.add_argument("command", choices=sorted(COMMANDS))
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="of the command")
    options = parser.parse_args(arguments[:1])
    try:
        return dispatch(COMMANDS[options.command], arguments[1:])
    except (Trouble, DatabaseUnavailable, DatabaseRefused) as trouble:
        print(f"\n{trouble}", file=sys.stderr)
        return 1
    except PermissionError as problem:
        print(
            f"\nThis account may not use {problem.filename}: it belongs to another user, who may have started this first.",
            file=sys.stderr,
        )
        return 1
    except (KeyboardInterrupt, StopAsked):
        return 130


def dispatch(command: Command, arguments: list[str]) -> int:
    if not exists(command.module):
        raise Trouble(f"This checkout has no {command.module.removesuffix('.__main__').replace('.', '/')} yet.")
    if not command.needs_settings:
        return int(importlib.import_module(command.module).run(arguments))
    from operations.surroundings import settings_in_environment

    with stop_on_signals(), settings_in_environment():
        try:
            return int(importlib.import_module(command.module).run(arguments))
        except (ConnectionError, socket.gaierror, TimeoutError) as problem:
            raise Trouble(f"The database server cannot be reached: {problem}") from problem
        except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as problem:
            raise Trouble(f"The database does not let us in: {problem}") from problem


def exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
