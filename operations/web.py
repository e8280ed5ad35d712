"""How the web server is started, in the demo and in production alike."""


def web_command(*, port: int, processes: int, host: str = "127.0.0.1") -> list[str]:
    """Arguments of Python. The server believes no proxy's headers: the application does, by its own setting."""
    command = ["-m", "app.serving", "app.main:app", "--host", host, "--port", str(port), "--workers", str(processes)]
    command += ["--loop", "uvloop", "--http", "app.kernel.patience:PatientProtocol"]
    command += ["--ws", "none", "--lifespan", "on", "--no-access-log"]
    command += ["--no-server-header", "--no-proxy-headers", "--backlog", "2048", "--timeout-keep-alive", "30"]
    return [*command, "--timeout-graceful-shutdown", "10", "--timeout-worker-healthcheck", "30"]
