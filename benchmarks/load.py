"""Load on the web processes: wrk where it is installed, else a client of our own, in a process of its own either way.

A request is a template. `{listing}` `{phone}` `{request_id}` and `{address}` in it are drawn anew for every request.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from uuid import uuid4

from benchmarks.figures import quantile
from operations.places import PYTHON, ROOT
from operations.trouble import Trouble

ANSWER_S = 30


@dataclass(frozen=True)
class Load:
    """What is sent, over how many connections. With `per_second` each connection waits between its requests."""

    port: int
    method: str
    path: str
    headers: dict[str, str]
    body: str = ""
    listings: tuple[str, ...] = ()
    connections: int = 32
    seconds: float = 1.0
    per_second: float = 0.0


@dataclass(frozen=True)
class Loaded:
    """What came back. `refused` are answers of 400 and over; `lost` are connections that broke or timed out."""

    tool: str
    requests: int
    refused: int
    lost: int
    seconds: float
    p50_ms: float
    p95_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds

    @property
    def told(self) -> str:
        """For people."""
        return (
            f"{self.per_second:,.0f} requests/s by {self.tool}, p50 {self.p50_ms:.1f}, p95 {self.p95_ms:.1f}, p99 {self.p99_ms:.1f} ms, "
            f"{self.refused} refused, {self.lost} lost"
        )


def run(load: Load) -> Loaded:
    """Send until the time is over. Raises: Trouble with the tool's words."""
    program = shutil.which("wrk")
    with tempfile.TemporaryDirectory(prefix="quanyi-") as folder:
        if program is None:
            file = Path(folder) / "load.json"
            file.write_text(json.dumps(asdict(load)))
            command = [PYTHON, "-m", "benchmarks.load", str(file)]
        else:
            file = Path(folder) / "load.lua"
            file.write_text(lua(load))
            place = f"http://127.0.0.1:{load.port}{load.path}"
            seconds = f"{max(1, round(load.seconds))}s"
            command = [program, "-t1", f"-c{load.connections}", f"-d{seconds}", f"--timeout={ANSWER_S}s", "-s", str(file), place]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines or not lines[-1].startswith("{"):
        raise Trouble(f"The load could not be sent: {(done.stderr or done.stdout).strip()[-800:]}")
    return Loaded(tool=Path(program).name if program else "our own client", **json.loads(lines[-1]))


def lua(load: Load) -> str:
    """The script for wrk; its last line of output is JSON."""
    return _LUA.format(
        method=load.method,
        path=json.dumps(load.path),
        body=json.dumps(load.body),
        listings=", ".join(f'"{listing}"' for listing in load.listings),
        headers=", ".join(f"[{json.dumps(name)}] = {json.dumps(value)}" for name, value in load.headers.items()),
        pause_ms=1000 * load.connections / load.per_second if load.per_second else 0,
        delay="function delay() return PAUSE * (0.5 + math.random()) end" if load.per_second else "",
        seed=random.randrange(2**31),
    )


# Our own client


@dataclass(frozen=True)
class Answer:
    """Of one request."""

    status: int
    body: bytes


_idle: dict[int, list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]] = {}


async def ask(port: int, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> Answer:
    """One request on a kept-alive connection, as many at once as are asked for; again on a new one when the server had closed the kept one.

    Raises: OSError, TimeoutError, asyncio.IncompleteReadError.
    """
    named = {**headers, "Content-Length": str(len(body))} if method == "POST" else headers
    head = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    request = f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body
    kept = _idle.setdefault(port, [])
    while kept:
        try:
            return await _exchange(port, kept.pop(), request)
        except (ConnectionError, asyncio.IncompleteReadError):
            continue
    return await _exchange(port, await asyncio.open_connection("127.0.0.1", port), request)


async def _exchange(port: int, connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], request: bytes) -> Answer:
    reader, writer = connection
    writer.write(request)
    answer = await asyncio.wait_for(_answer(reader), ANSWER_S)
    _idle[port].append(connection)
    return answer


@dataclass
class _Seen:
    refused: int = 0
    lost: int = 0
    times_ms: list[float] = field(default_factory=list)


async def send(load: Load) -> Loaded:
    """The same load from this process."""
    seen, started = _Seen(), time.perf_counter()
    ends = started + load.seconds
    await asyncio.gather(*(_connection(load, ends, seen) for _ in range(load.connections)))
    times = seen.times_ms or [0.0]
    return Loaded(
        tool="our own client",
        requests=len(seen.times_ms),
        refused=seen.refused,
        lost=seen.lost,
        seconds=time.perf_counter() - started,
        p50_ms=quantile(times, 0.5),
        p95_ms=quantile(times, 0.95),
        p99_ms=quantile(times, 0.99),
    )


async def _connection(load: Load, ends: float, seen: _Seen) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", load.port)
    while time.perf_counter() < ends:
        if load.per_second:
            await asyncio.sleep(load.connections / load.per_second * (0.5 + random.random()))
        started = time.perf_counter()
        writer.write(_request(load))
        try:
            status = (await asyncio.wait_for(_answer(reader), ANSWER_S)).status
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            seen.lost += 1
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", load.port)
            continue
        seen.times_ms.append((time.perf_counter() - started) * 1000)
        seen.refused += status >= 400
    writer.close()


def _request(load: Load) -> bytes:
    drawn = {
        "{listing}": random.choice(load.listings) if load.listings else "",
        "{phone}": f"138{random.randrange(10**8):08d}",
        "{request_id}": str(uuid4()),
        "{address}": ".".join(str(random.randrange(1, 255)) for _ in range(4)),
    }
    headers = {**load.headers, "Content-Length": str(len(_filled(load.body, drawn)))} if load.body else load.headers
    head = "\r\n".join([f"{load.method} {load.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())])
    return (_filled(head, drawn) + "\r\n\r\n" + _filled(load.body, drawn)).encode()


def _filled(text: str, drawn: dict[str, str]) -> str:
    for name, value in drawn.items():
        text = text.replace(name, value)
    return text


async def _answer(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    status = int(head.split(b" ", 2)[1])
    if b"transfer-encoding: chunked" not in head:
        length = head.partition(b"content-length:")[2].partition(b"\r")[0]
        return Answer(status, await reader.readexactly(int(length or 0)))
    chunks = []
    while size := int(await reader.readline(), 16):
        chunks.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readexactly(2)
    return Answer(status, b"".join(chunks))


_LUA = """
local LISTINGS = {{ {listings} }}
local BODY = {body}
local HEADERS = {{ {headers} }}
local PAUSE = {pause_ms}
math.randomseed({seed})
{delay}

local function drawn(name)
  if name == "listing" then return LISTINGS[math.random(#LISTINGS)] end
  if name == "phone" then return string.format("138%08d", math.random(0, 99999999)) end
  if name == "address" then return string.format("%d.%d.%d.%d", math.random(1, 254), math.random(1, 254), math.random(1, 254), math.random(1, 254)) end
  return string.format("%08x-%04x-4%03x-8%03x-%06x%06x", math.random(0, 4294967295), math.random(0, 65535), math.random(0, 4095),
                       math.random(0, 4095), math.random(0, 16777215), math.random(0, 16777215))
end

function request()
  local headers = {{}}
  for name, value in pairs(HEADERS) do headers[name] = value:gsub("{{(%l[%l_]*)}}", drawn) end
  return wrk.format("{method}", {path}, headers, BODY ~= "" and BODY:gsub("{{(%l[%l_]*)}}", drawn) or nil)
end

function done(summary, latency)
  local errors = summary.errors
  print(string.format('\\n{{"requests": %d, "refused": %d, "lost": %d, "seconds": %f, "p50_ms": %f, "p95_ms": %f, "p99_ms": %f}}',
    summary.requests, errors.status, errors.connect + errors.read + errors.write + errors.timeout, summary.duration / 1e6,
    latency:percentile(50) / 1000, latency:percentile(95) / 1000, latency:percentile(99) / 1000))
end
"""

if __name__ == "__main__":
    import uvloop

    told = json.loads(Path(sys.argv[1]).read_text())
    found = asdict(uvloop.run(send(Load(**told | {"listings": tuple(told["listings"])}))))
    found.pop("tool")
    print(json.dumps(found))
