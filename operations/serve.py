"""`./quanyi serve`: the web processes only."""

import argparse
import os

from operations.foreground import run_alone
from operations.ports import USUAL, free_ports, is_free
from operations.settings import is_configured
from operations.web import web_command


def run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./quanyi serve", description="Start the web processes only.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on, 127.0.0.1 by default")
    parser.add_argument("--port", type=int, help=f"port to listen on, {USUAL.web} by default")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, metavar="N", help="one for each core by default")
    parser.add_argument("--proxies", metavar="ADDRESSES", help="proxies whose X-Forwarded headers count, separated by commas")
    options = parser.parse_args(arguments)
    port = options.port or _usual_port()
    command = web_command(port=port, processes=options.processes, host=options.host, proxies=options.proxies)
    if not is_configured():
        print(f"Serving at http://app.quanyi.localhost:{port}", flush=True)
    return run_alone(command, QUANYI_BASE_HOST=f"quanyi.localhost:{port}", QUANYI_SHOPS_HOST=f"shop.localhost:{port}")


def _usual_port() -> int:
    return USUAL.web if is_configured() or is_free(USUAL.web) else free_ports(1)[0]
