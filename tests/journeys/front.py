"""Caddy before the running application, with the Caddyfile we ship and certificates of its own making; and a browser that opens a name over TLS."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from operations.places import ROOT
from tests.installation import free_port

STARTS_WITHIN_S = 30
ANSWERS_WITHIN_S = 30
CADDYFILE = ROOT / "Caddyfile"


@dataclass(frozen=True, slots=True)
class Opened:
    """What a name answered, and the names in the certificate it showed. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    text: str
    cookies: str
    """What a browser sends back for the cookies it was given."""
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    headers: Mapping[str, str]
    body: str = ""


@dataclass(frozen=True, slots=True)
class Front:
    """The server in front, on ports of its own."""

    https_port: int
    http_port: int
    root_certificate: Path

    def open(self, host: str, path: str = "/", **headers: str) -> Opened:
        """Open a name over HTTPS. Raises: ssl.SSLError when no certificate is shown for it, or none that its authority vouches for."""
        return self._over_https(host, _Request("GET", path, headers))

    def send(self, host: str, path: str, form: Mapping[str, str], **headers: str) -> Opened:
        """Send a form over HTTPS. Raises as `open` does."""
        kind = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        return self._over_https(host, _Request("POST", path, kind, urlencode(form)))

    def _over_https(self, host: str, request: _Request) -> Opened:
        with (
            socket.create_connection(("127.0.0.1", self.https_port), timeout=ANSWERS_WITHIN_S) as plain,
            self.trusting().wrap_socket(plain, server_hostname=host) as secure,
        ):
            certificate = secure.getpeercert() or {}
            names = tuple(str(entry[1]) for entry in certificate.get("subjectAltName", ()))
            return _asked(secure, host, request, names)

    def open_plainly(self, host: str, path: str = "/") -> Opened:
        """Open a name over HTTP."""
        with socket.create_connection(("127.0.0.1", self.http_port), timeout=ANSWERS_WITHIN_S) as plain:
            return _asked(plain, host, _Request("GET", path, {}))

    def trusting(self) -> ssl.SSLContext:
        """Trusts the authority of this server alone."""
        return ssl.create_default_context(cafile=str(self.root_certificate))


def _asked(connection: socket.socket, host: str, request: _Request, names: tuple[str, ...] = ()) -> Opened:
    client = http.client.HTTPConnection(host)
    client.sock = connection
    headers = {"Accept": "text/html", "Accept-Language": "en", **request.headers}
    client.request(request.method, request.path, body=request.body or None, headers=headers)
    answer = client.getresponse()
    found = {name.lower(): value for name, value in answer.getheaders()}
    cookies = "; ".join(cookie.partition(";")[0] for cookie in answer.headers.get_all("set-cookie", []))
    return Opened(answer.status, found, answer.read().decode("utf-8", "replace"), cookies, names)


@contextmanager
def front(program: str, folder: Path, *, upstream_port: int, caddyfile: Path = CADDYFILE) -> Iterator[Front]:
    """Caddy while it is needed: everything it keeps lies in `folder`."""
    https_port, http_port = free_port(), free_port()
    options = ["local_certs", "skip_install_trust", f"https_port {https_port}", f"http_port {http_port}"]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "XDG_DATA_HOME": str(folder / "data"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "ACME_EMAIL": "operator@quanyi.example",
        "UPSTREAM": f"127.0.0.1:{upstream_port}",
        "CADDY_OPTIONS": "\n".join(options),
    }
    log = folder / "caddy.log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [program, "run", "--config", str(caddyfile), "--adapter", "caddyfile"], env=environment, stdout=said, stderr=said
        )
        try:
            made = Front(https_port, http_port, folder / "data/caddy/pki/authorities/local/root.crt")
            _wait(process, made, log)
            yield made
        finally:
            process.terminate()
            process.wait(20)


def _wait(process: subprocess.Popen[bytes], made: Front, log: Path) -> None:
    ends = time.monotonic() + STARTS_WITHIN_S
    while not (made.root_certificate.exists() and _listens(made.https_port)):
        if process.poll() is not None or time.monotonic() > ends:
            raise RuntimeError(log.read_text(errors="replace")[-2000:])
        time.sleep(0.05)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
