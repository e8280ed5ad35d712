"""Small programs in the places of web, worker and simulators, to test how they are run and not what they do."""

from pathlib import Path

from operations.places import ROOT

APP = """
import os
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            event = (await receive())["type"]
            await send({"type": event + ".complete"})
            if event == "lifespan.shutdown":
                return
    body = (os.environ["QUANYI_DATABASE_URL"].split(":")[0] + " " + str(os.getpid())).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})
"""
PROTOCOL = "from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as PatientProtocol"
WORKER = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("working", flush=True)
while True:
    time.sleep(0.05)
"""
LISTENER = """
import argparse, socket, time
parser = argparse.ArgumentParser()
for name in {names}:
    parser.add_argument(name, type=int)
parser.add_argument("--book")
parser.add_argument("--control", action="store_true")
options = parser.parse_args()
listeners = [socket.create_server(("127.0.0.1", getattr(options, name[2:].replace("-", "_")))) for name in {names}]
while True:
    time.sleep(0.05)
"""
SUPPLIER = """
import argparse, socket, time
parser = argparse.ArgumentParser()
parser.add_argument("host"); parser.add_argument("port", type=int); parser.add_argument("book"); parser.add_argument("--protocol")
options = parser.parse_args()
listener = socket.create_server((options.host, options.port))
while True:
    time.sleep(0.05)
"""
BROKEN = 'raise SystemExit("a setting is missing: QUANYI_EXAMPLE")'


def put(folder: Path, **instead: str) -> Path:
    """A folder to run from; `app`, `workers`, `gateway`, `outbox` or `supplier` replace one program's text."""
    programs = {
        "app/main.py": instead.get("app", APP),
        "app/serving.py": (ROOT / "app/serving.py").read_text(),
        "app/kernel/patience.py": PROTOCOL,
        "app/kernel/loading.py": (ROOT / "app/kernel/loading.py").read_text(),
        "workers/__main__.py": instead.get("workers", WORKER),
        "simulators/gateway/__main__.py": instead.get("gateway", LISTENER.format(names=["--port"])),
        "simulators/outbox/__main__.py": instead.get("outbox", LISTENER.format(names=["--smtp-port", "--http-port"])),
        "simulators/supplier/__main__.py": instead.get("supplier", SUPPLIER),
    }
    for name, text in programs.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder
