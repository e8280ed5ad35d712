"""`python -m simulators.outbox --smtp-port P --http-port P --book FILE`"""

import argparse
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from litestar import Litestar

from simulators.outbox import robots, views
from simulators.outbox.box import Box
from simulators.outbox.mail import listen_for_mail
from simulators.serving import address_of, announce, listen, serve


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m simulators.outbox", description="Receives mail, text messages and what group chats are told."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--smtp-port", type=int, default=0, help="port for mail; 0 takes a free one")
    parser.add_argument("--http-port", type=int, default=0, help="port for the page and text messages; 0 takes a free one")
    parser.add_argument("--book", type=Path, required=True, help="the SQLite file that holds everything")
    parser.add_argument("--sms-secret", help="what text messages are signed with; else the environment's SANDBOX_SMS_SECRET")
    options = parser.parse_args()
    listener = listen(options.host, options.http_port)
    sms_secret = options.sms_secret or os.environ.get("SANDBOX_SMS_SECRET", "")
    app = Litestar(
        route_handlers=[
            views.index,
            views.show,
            views.show_html,
            views.list_messages,
            views.take_sms,
            views.style,
            *robots.ROUTES,
        ],
        lifespan=[_running(options.book, sms_secret, options.host, options.smtp_port, address_of(listener))],
        openapi_config=None,
        logging_config=None,
        request_max_body_size=64 * 1024,
    )
    serve(app, listener, loop="asyncio")


def _running(
    book_file: Path, sms_secret: str, host: str, smtp_port: int, address: str
) -> Callable[[Litestar], contextlib.AbstractAsyncContextManager[None]]:
    @contextlib.asynccontextmanager
    async def running(app: Litestar) -> AsyncIterator[None]:
        box = Box(book_file)
        app.state.office = views.Office(box, sms_secret)
        app.state.robots = robots.Book(book_file.with_suffix(".robots"), address)
        mail_server = await listen_for_mail(box, host, smtp_port)
        announce(outbox=address, smtp_port=mail_server.sockets[0].getsockname()[1])
        try:
            yield
        finally:
            mail_server.close()
            app.state.robots.close()
            box.close()

    return running


if __name__ == "__main__":
    main()
