"""The shop's product page over HTTP on two web processes, against its own template rendered from memory in one loop, times the processes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx2

from app.kernel import logs, templating
from benchmarks import load
from benchmarks.client import Client
from benchmarks.figures import Figures, median, must_be_zero
from benchmarks.load import Load, Loaded
from benchmarks.options import Options
from benchmarks.stage import Shop, Stage, in_loop, open_shop, whole
from operations.trouble import Trouble

GOAL = "at least 0.5 of the rendered template, p95 under 50 ms at half of its limit"
PROCESSES = 2
CONNECTIONS = 32
PRODUCTS = 20


def measure(options: Options) -> tuple[Figures, Stage]:
    with whole(web_processes=PROCESSES) as stage:
        return in_loop(_measure(stage, options)), stage


async def _measure(stage: Stage, options: Options) -> Figures:
    shop = await open_shop(stage.owner_url, skus=PRODUCTS, stock=100)
    path = f"/products/{shop.products[0]}"
    template, context = await _what_is_rendered(stage, shop, path)
    sent = _load(stage, shop, path, options)
    load.run(replace(sent, seconds=1))
    references: list[float] = []
    runs: list[Loaded] = []
    for _ in range(options.rounds):
        references.append(_render(template, context, options.round_s) * PROCESSES)
        runs.append(load.run(sent))
    limit = median([run.per_second for run in runs])
    at_half = load.run(replace(sent, per_second=limit / 2))
    checks = {"pages": sum(run.requests for run in runs), "refused": sum(run.refused + run.lost for run in [*runs, at_half])}
    return Figures(
        value=limit,
        unit="pages/s",
        reference=median(references),
        goal=GOAL,
        checks=checks,
        wrong=must_be_zero(checks, "refused"),
        details={
            "page": f"{len(templating.render(template, **context)):,} characters",
            "over HTTP": "; ".join(run.told for run in runs),
            f"rendered from memory, pages/s times {PROCESSES}": [round(rate) for rate in references],
            "at half of its limit": at_half.told,
            "p95 at half of its limit, ms": round(at_half.p95_ms, 1),
        },
    )


async def _what_is_rendered(stage: Stage, shop: Shop, path: str) -> tuple[str, Mapping[str, Any]]:
    """The template and the context of one real request, caught on its way through this process's own application."""
    from app.kernel import web
    from app.main import app

    logs.configure("WARNING")
    caught: list[tuple[str, Mapping[str, Any]]] = []
    render = templating.render

    def catching(template: str, /, **context: Any) -> str:
        caught.append((template, context))
        return render(template, **context)

    web.templating.render = catching  # type: ignore[attr-defined]
    try:
        transport = httpx2.ASGITransport(app=app)  # type: ignore[arg-type]
        host = f"{shop.tenant.slug}.shop.localhost:{stage.system.ports.web}"
        async with httpx2.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            shown = await client.get(path)
    finally:
        web.templating.render = render  # type: ignore[attr-defined]
    if shown.status_code != 200 or not caught:
        raise Trouble(f"The product's page answered {shown.status_code}.")
    return caught[-1]


def _render(template: str, context: Mapping[str, Any], seconds: float) -> float:
    """Pages a second in one process."""
    started, done = time.perf_counter(), 0
    while (took := time.perf_counter() - started) < seconds:
        templating.render(template, **context).encode()
        done += 1
    return done / took


def _load(stage: Stage, shop: Shop, path: str, options: Options) -> Load:
    """A browser that has its form cookie."""
    port = stage.system.ports.web
    host = f"{shop.tenant.slug}.shop.localhost:{port}"
    with Client(stage.system.address) as client:
        client.get(host, path)
        cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    headers = {"Host": host, "Accept": "text/html", "Accept-Language": "zh-CN", "X-Forwarded-For": "{address}", "Cookie": cookies}
    return Load(port, "GET", path, headers, connections=CONNECTIONS, seconds=options.round_s)
