"""`python -m operations.healthy`: whether the web processes of this container answer; the image's health check."""

import http.client
import os
import sys

ANSWER_WAIT_S = 5.0


def is_answering(port: int, path: str, *, host: str) -> bool:
    """Whether 127.0.0.1 answers 200 there, asked under the public host, since *.localhost need not resolve here."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_WAIT_S)
    try:
        connection.request("GET", path, headers={"Host": host})
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(0 if is_answering(8000, "/healthz", host=f"app.{os.environ.get('QUANYI_BASE_HOST', 'localhost')}") else 1)
