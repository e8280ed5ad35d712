"""How the web server is started, in the demo and in production alike."""


def web_command(*, port: int, processes: int, host: str = "127.0.0.1", proxies: str | None = None) -> list[str]:
    """Arguments of Python. `proxies` are addresses whose X-Forwarded headers count; none by default."""
    command = ["-m", "uvicorn", "app.main:app", "--host", host, "--port", str(port), "--workers", str(processes)]
    command += ["--loop", "uvloop", "--http", "httptools", "--ws", "none", "--lifespan", "on", "--no-access-log"]
    command += ["--no-server-header", "--backlog", "2048", "--timeout-keep-alive", "30"]
    command += ["--timeout-graceful-shutdown", "10", "--timeout-worker-healthcheck", "30"]
    return command + (["--proxy-headers", "--forwarded-allow-ips", proxies] if proxies else ["--no-proxy-headers"])
