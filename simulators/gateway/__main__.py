"""`python -m simulators.gateway --port P --book FILE [--control]`"""

import argparse
import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from litestar import Litestar

from simulators.gateway import api, buyers
from simulators.gateway.book import Book
from simulators.gateway.control import control
from simulators.gateway.desk import Desk
from simulators.gateway.faults import Script
from simulators.gateway.notices import Sender
from simulators.serving import address_of, announce, listen, serve

TICK_S = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m simulators.gateway", description="The sandbox payment gateway.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes a free one")
    parser.add_argument("--book", type=Path, required=True, help="the SQLite file that holds everything")
    parser.add_argument("--public-url", help="how buyers reach the pay page, if not at the listening address")
    parser.add_argument("--control", action="store_true", help="serve /control: scripts, paying, the book")
    options = parser.parse_args()
    listener = listen(options.host, options.port)
    address = address_of(listener)
    app = build_app(options.book, (options.public_url or address).rstrip("/"), with_control=options.control)
    announce(gateway=address)
    serve(app, listener, loop="uvloop")


def build_app(book_file: Path, public_url: str, *, with_control: bool) -> Litestar:
    handlers = [
        api.open_account,
        api.create_payment,
        api.show_payment,
        api.close_payment,
        api.create_refund,
        api.show_refund,
        buyers.show_pay,
        buyers.pay,
        buyers.cancel,
        buyers.style,
    ]
    return Litestar(
        route_handlers=[*handlers, control] if with_control else handlers,
        lifespan=[_running(book_file, public_url)],
        openapi_config=None,
        logging_config=None,
        request_max_body_size=api.MAX_BODY_BYTES,
    )


def _running(book_file: Path, public_url: str) -> Callable[[Litestar], contextlib.AbstractAsyncContextManager[None]]:
    @contextlib.asynccontextmanager
    async def running(app: Litestar) -> AsyncIterator[None]:
        book, script = Book(book_file), Script()
        sender = Sender(book, script)
        app.state.desk = Desk(book, script, sender, public_url)
        ticker = asyncio.create_task(_tick(book))
        try:
            yield
        finally:
            ticker.cancel()
            await sender.aclose()
            book.close()

    return running


async def _tick(book: Book) -> None:
    """Time passes: payments expire, pending refunds are decided."""
    while True:
        book.close_expired()
        book.settle_refunds()
        await asyncio.sleep(TICK_S)


if __name__ == "__main__":
    main()
