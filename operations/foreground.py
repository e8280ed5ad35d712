"""Programs that take over the terminal: web or worker alone, and the tests."""

import os
import signal
import subprocess
import sys

from operations.places import PYTHON, ROOT
from operations.signals import StopAsked, ignore_signals, stop_on_signals
from operations.surroundings import is_configured, settings_in_environment

STOP_WAIT_S = 30.0


def run_alone(arguments: list[str], **more_settings: str) -> int:
    """With settings from outside, become the program, as process 1 of a container should; else keep our database up beside it."""
    if is_configured():
        os.chdir(ROOT)
        sys.stdout.flush()
        os.execv(PYTHON, [PYTHON, *arguments])  # noqa: S606 becoming it is the point
    with stop_on_signals(), settings_in_environment(**more_settings):
        return run_until_stopped(arguments)


def run_until_stopped(arguments: list[str]) -> int:
    """Its exit code; when we are told to stop, it is told too and gets `STOP_WAIT_S`."""
    with subprocess.Popen([PYTHON, *arguments], cwd=ROOT, start_new_session=True) as process:
        try:
            return process.wait()
        except StopAsked:
            ignore_signals()
            process.terminate()
            try:
                process.wait(STOP_WAIT_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
            return 0
