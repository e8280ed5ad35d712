"""`python -m simulators.supplier HOST PORT BOOK --protocol NAME`"""

import argparse
import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from litestar import Litestar

from simulators.serving import address_of, announce, listen, serve
from simulators.supplier.book import Book
from simulators.supplier.company import Company
from simulators.supplier.desk import Desk, desk_routes
from simulators.supplier.faults import Door, Script
from simulators.supplier.front import Front
from simulators.supplier.notices import Sender
from simulators.supplier.protocols import PROTOCOLS

TICK_S = 0.05
MAX_DESK_BYTES = 64 * 1024 * 1024


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m simulators.supplier", description="One supplier, speaking one protocol.")
    parser.add_argument("host", help="address to listen on")
    parser.add_argument("port", type=int, help="port to listen on; 0 takes a free one")
    parser.add_argument("book", type=Path, help="the SQLite file that holds everything")
    parser.add_argument("--protocol", required=True, choices=sorted(PROTOCOLS), help="what it speaks")
    options = parser.parse_args()
    listener = listen(options.host, options.port)
    announce(supplier=address_of(listener), protocol=options.protocol)
    serve(build_app(options.book, options.protocol), listener, loop="uvloop")


def build_app(book_file: Path, protocol_name: str) -> Front:
    kind = PROTOCOLS[protocol_name]
    company, script = Company(Book(book_file), repeats=kind.repeats), Script()
    protocol, door = kind(company), Door(company.conduct)

    @contextlib.asynccontextmanager
    async def running(app: Litestar) -> AsyncIterator[None]:
        sender = Sender(company, protocol, script)
        app.state.desk = Desk(company, protocol, script, sender, door)
        ticker = asyncio.create_task(_tick(company))
        try:
            yield
        finally:
            ticker.cancel()
            await sender.aclose()
            company.book.close()

    desk = Litestar(
        route_handlers=[desk_routes],
        lifespan=[running],
        openapi_config=None,
        logging_config=None,
        request_max_body_size=MAX_DESK_BYTES,
    )
    return Front(company, protocol, script, door=door, desk=desk)


async def _tick(company: Company) -> None:
    """Time passes: purchases are decided."""
    while True:
        company.settle()
        await asyncio.sleep(TICK_S)


if __name__ == "__main__":
    main()
