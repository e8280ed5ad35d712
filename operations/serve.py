"""`./quanyi serve`: the web processes only."""

import argparse
import os
import tempfile
from pathlib import Path

from operations.foreground import run_alone
from operations.ports import USUAL, free_ports, is_free
from operations.surroundings import is_configured
from operations.web import web_command

METRICS = "PROMETHEUS_MULTIPROC_DIR"


def run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./quanyi serve", description="Start the web processes only.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on, 127.0.0.1 by default")
    parser.add_argument("--port", type=int, help=f"port to listen on, {USUAL.web} by default")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, metavar="N", help="one for each core by default")
    options = parser.parse_args(arguments)
    port = options.port or _usual_port()
    command = web_command(port=port, processes=options.processes, host=options.host)
    os.environ[METRICS] = str(fresh_metrics_folder())
    if not is_configured():
        print(f"Serving at http://app.quanyi.localhost:{port}", flush=True)
    return run_alone(command, QUANYI_BASE_HOST=f"quanyi.localhost:{port}", QUANYI_SHOPS_HOST=f"shop.localhost:{port}")


def fresh_metrics_folder() -> Path:
    """Where the processes add up their figures; those of an earlier run do not count."""
    folder = Path(os.environ.get(METRICS) or tempfile.mkdtemp(prefix="quanyi-metrics-"))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in folder.glob("*.db"):
        left.unlink()
    return folder


def _usual_port() -> int:
    return USUAL.web if is_configured() or is_free(USUAL.web) else free_ports(1)[0]
