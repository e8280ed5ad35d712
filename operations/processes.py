"""The whole system in one data folder: database, simulators, web and worker.

    with System(folder) as system:
        httpx2.get(system.app_url)

The demo, the smoke run, the benches and the browser tests all start it here. Every wait has a bound.
"""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from operations import preparation
from operations.children import Child
from operations.healthy import is_answering
from operations.keys import keys_of
from operations.places import PYTHON, ROOT, make_folder, make_private_folder, shown
from operations.ports import Ports, answers, choose_ports, choose_supplier_ports
from operations.record import Record, forget_record, identity_of, lead
from operations.settings import DATABASE, clean_environment, settings_for
from operations.trouble import Trouble
from operations.web import web_command
from tenants.bootstrap import Urls, prepare_database
from tenants.embedded import EmbeddedPostgres

READY_WAIT_S = 60.0
POLL_S = 0.05
START_ORDER = ("gateway", "outbox", "web", "worker")
STOP_ORDER = ("web", "worker", "outbox", "gateway")
SUPPLIER = "supplier-"
WORKERS_DIED = b"] died"
TOO_MANY_DEATHS = 6


@dataclass(frozen=True)
class Plan:
    """What a system is made of. The defaults are those of tests and benches: free ports, an embedded database, no demo data."""

    usual_ports: bool = False
    admin_url: str | None = None
    bin_dir: Path | None = None
    postgres_settings: Mapping[str, str] = field(default_factory=dict)
    environment: str = "test"
    web_processes: int = 2
    seeded: bool = False
    more_settings: Mapping[str, str] = field(default_factory=dict)
    migrated: bool = True
    suppliers: tuple[str, ...] = ()
    """Protocols of the simulated suppliers to start, one process each: see simulators/supplier/README.md."""
    spares_suppliers: bool = False
    """Whether it starts, with a line that says so, when a simulated supplier does not."""
    code: Path = ROOT
    """Where the programs are imported from; tests of this module put stand-ins there."""


class System:
    """One running system. Its data stay in the folder; `delete` removes them."""

    def __init__(self, folder: Path, plan: Plan | None = None, say: Callable[[str], None] | None = None) -> None:
        self.folder = Path(folder).resolve()
        self.plan = plan or Plan()
        self.say = say or (lambda sentence: None)
        self.ports = Ports()
        self.supplier_ports: Mapping[str, int] = {}
        self.children: dict[str, Child] = {}
        self.postgres: EmbeddedPostgres | None = None
        self.settings: dict[str, str] = {}
        self.admin_url = ""
        self._record: Record | None = None

    @classmethod
    def temporary(cls, plan: Plan | None = None) -> Self:
        """In a new folder of the system's temporary place; call `delete` at the end."""
        folder = Path(tempfile.mkdtemp(prefix="quanyi-"))
        folder.chmod(0o711)
        return cls(folder, plan)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    # Addresses

    @property
    def app_url(self) -> str:
        """Of the merchants' and operators' pages. Browsers resolve *.localhost; other clients connect to `address`."""
        return f"http://app.quanyi.localhost:{self.ports.web}"

    def shop_url(self, slug: str) -> str:
        return f"http://{slug}.shop.localhost:{self.ports.web}"

    @property
    def address(self) -> tuple[str, int]:
        """Where the web processes listen, for clients that set the Host header themselves."""
        return ("127.0.0.1", self.ports.web)

    @property
    def outbox(self) -> str:
        """Base URL of the simulator that receives mail and text messages."""
        return f"http://127.0.0.1:{self.ports.outbox}"

    @property
    def gateway(self) -> str:
        """Base URL of the sandbox payment gateway."""
        return f"http://127.0.0.1:{self.ports.gateway}"

    def supplier(self, protocol: str) -> str:
        """Base URL of the simulated supplier that speaks this protocol, its desk under /desk."""
        return f"http://127.0.0.1:{self.supplier_ports[protocol]}"

    @property
    def env(self) -> dict[str, str]:
        """The environment of the system's programs."""
        return {**clean_environment(self.folder), **self.settings}

    # Start and stop

    def start(self) -> Self:
        """Everything, and return when /readyz answers 200. Raises: Trouble with the end of the log of what failed."""
        try:
            self._choose_places()
            self.start_database()
            self._prepare_data()
            self._start_application()
            self._start_simulators()
            self._await_application()
            self._await_simulators()
        except BaseException:
            self.stop()
            raise
        return self

    def start_database(self) -> Urls:
        """The database alone, with its roles; `settings` are complete afterwards. Idempotent."""
        self._choose_places()
        keys = keys_of(self.folder)
        if self.plan.admin_url is None:
            self.postgres = EmbeddedPostgres(
                self.folder / "postgres",
                bin_dir=self.plan.bin_dir,
                port=self.ports.postgres,
                settings=self.plan.postgres_settings,
            ).start()
            self._note_adopted_port(self.postgres.port)
            self._show_log(self.postgres.log)
            if self.postgres.home != self.postgres.wanted:
                self.say(f"The database's files are in {self.postgres.home}: its account may not enter {self.folder}.")
        self.admin_url = self.plan.admin_url or self.postgres_admin_url()
        urls = prepare_database(self.admin_url, name=DATABASE, passwords=keys.passwords)
        made = settings_for(self.ports, urls, keys, self.folder, environment=self.plan.environment)
        self.settings = {**made, **self.plan.more_settings}
        self._write_record()
        return urls

    def postgres_admin_url(self, database: str = "postgres") -> str:
        assert self.postgres is not None, "the database is not embedded"
        return self.postgres.admin_url(database)

    def stop(self) -> None:
        """Web first, so that nobody asks what is going; the database last. Idempotent."""
        for name in in_stop_order(self.children):
            self.children[name].stop()
        self.children = {}
        if self.postgres is not None:
            self.postgres.stop()
        if self._record is not None:
            forget_record(self.folder)
        self._record = None

    def delete(self) -> None:
        """Stop, and delete the folder with everything in it."""
        self.stop()
        EmbeddedPostgres(self.folder / "postgres", bin_dir=self.plan.bin_dir).delete()
        shutil.rmtree(self.folder, ignore_errors=True)

    # While it runs

    def kill(self, name: str) -> None:
        """SIGKILL to `web`, `worker`, `gateway`, `outbox` (with all their processes) or `postgres`, as a crash would."""
        if name == "postgres":
            pid = self.postgres.pid if self.postgres else None
            assert pid is not None, "the embedded database does not run"
            os.kill(pid, signal.SIGKILL)
        else:
            self.children[name].kill()

    def restart(self, name: str) -> None:
        """Start again what was killed, on the same port, and return when it is ready."""
        if name == "postgres":
            assert self.postgres is not None
            self.postgres.stop()
            self.postgres.start()
            return
        self.children[name].start()
        self._await(name)
        self._write_record()

    def first_ended(self) -> str | None:
        """Name of a part that ended by itself, or None while all are well. Simulated suppliers that are spared may end."""
        for name, child in self.children.items():
            if not child.is_running() and not (self.plan.spares_suppliers and name.startswith(SUPPLIER)):
                return name
        if self.postgres is not None and not self.postgres.is_running():
            return "postgres"
        return None

    # Parts

    def _choose_places(self) -> None:
        if self._record is not None:
            return
        make_folder(self.folder)
        shutil.rmtree(self.folder / "metrics", ignore_errors=True)
        make_private_folder(self.folder / "metrics")
        self.ports = choose_ports(usual=self.plan.usual_ports)
        known = preparation.ports_of_suppliers(self.folder)
        self.supplier_ports = choose_supplier_ports(self.plan.suppliers, self.ports, usual=self.plan.usual_ports, known=known)
        self._tell_moved(known)
        server = urlsplit(self.plan.admin_url or "")
        without_login = server._replace(netloc=server.netloc.rpartition("@")[2]).geturl() if self.plan.admin_url else ""
        self._record = lead(self.folder, without_login, self.ports.as_dict())

    def _tell_moved(self, known: Mapping[str, int]) -> None:
        for protocol, port in self.supplier_ports.items():
            if known.get(protocol, port) != port:
                self.say(
                    f"Port {known[protocol]} is taken, so the simulated supplier {protocol} is at port {port} this time: "
                    "the demo's connection does not find it there."
                )

    def _note_adopted_port(self, port: int) -> None:
        """A server that outlived a crash keeps its port."""
        assert self._record is not None
        self.ports = Ports(**{**self.ports.as_dict(), "postgres": port})
        self._record = lead(self.folder, f"postgresql://127.0.0.1:{port}", self.ports.as_dict())

    def _show_log(self, log: Path) -> None:
        """The database writes beside its data; people look where the other logs are."""
        link = make_private_folder(self.folder / "logs") / "postgres.log"
        link.unlink(missing_ok=True)
        link.symlink_to(log)

    def _start_simulators(self) -> None:
        """After the application, which takes longer to load; only seeding asks for them before it. Idempotent."""
        if "gateway" in self.children:
            return
        books = make_private_folder(self.folder / "books")
        gateway = [
            "-m",
            "simulators.gateway",
            "--port",
            str(self.ports.gateway),
            "--book",
            str(books / "gateway.sqlite"),
            "--control",
        ]
        outbox = ["-m", "simulators.outbox", "--smtp-port", str(self.ports.smtp), "--http-port", str(self.ports.outbox)]
        environment = {**clean_environment(self.folder), "SANDBOX_SMS_SECRET": keys_of(self.folder).sms_secret}
        self._start("gateway", gateway, environment, stop_wait_s=5)
        self._start("outbox", [*outbox, "--book", str(books / "outbox.sqlite")], environment, stop_wait_s=5)
        for protocol, port in self.supplier_ports.items():
            book = books / f"{protocol}.sqlite"
            supplier = ["-m", "simulators.supplier", "127.0.0.1", str(port), str(book), "--protocol", protocol]
            self._start(SUPPLIER + protocol, supplier, environment, stop_wait_s=5)

    def _prepare_data(self) -> None:
        if self.plan.migrated:
            seeding = self._seeding if self.plan.seeded else None
            preparation.prepare(self.folder, self.env, seeding=seeding, say=self.say)

    def _seeding(self) -> preparation.Seeding:
        self._start_simulators()
        self._await_simulators()
        return preparation.Seeding(self.supplier_ports)

    def _await_simulators(self) -> None:
        for name in ("gateway", "outbox"):
            self._await(name)
        self._await_suppliers()

    def _await_suppliers(self) -> None:
        for protocol in list(self.supplier_ports):
            try:
                self._await(SUPPLIER + protocol)
            except Trouble:
                if not self.plan.spares_suppliers:
                    raise
                child = self.children.pop(SUPPLIER + protocol)
                child.stop()
                self.supplier_ports = {name: port for name, port in self.supplier_ports.items() if name != protocol}
                self.say(f"The simulated supplier {protocol} did not start; going on without it. See {shown(child.log)}.")

    def _start_application(self) -> None:
        self._start("web", web_command(port=self.ports.web, processes=self.plan.web_processes), self.env, stop_wait_s=15)
        self._start("worker", ["-m", "workers"], self.env, stop_wait_s=20)

    def _await_application(self) -> None:
        self._await("web")
        self._await("worker")

    def _start(self, name: str, arguments: list[str], environment: Mapping[str, str], *, stop_wait_s: float) -> None:
        log = self.folder / "logs" / f"{name}.log"
        child = Child(name, [PYTHON, *arguments], log, environment, stop_wait_s, self.plan.code)
        child.start()
        self.children[name] = child
        self._write_record()

    def _write_record(self) -> None:
        assert self._record is not None
        processes = {name: child.identity for name, child in self.children.items()}
        if self.postgres is not None and (pid := self.postgres.pid):
            processes["postgres"] = identity_of(pid)
        self._record = Record(self._record.leader, self._record.server, self._record.ports, processes)
        self._record.write(self.folder)

    def _await(self, name: str) -> None:
        child = self.children[name]
        deadline = time.monotonic() + READY_WAIT_S
        while not self._is_ready(name):
            if not child.is_running():
                raise child.trouble(f"{child.ending()} while starting")
            if child.log.read_bytes().count(WORKERS_DIED) >= TOO_MANY_DEATHS:
                raise child.trouble("cannot start its processes")
            if time.monotonic() > deadline:
                raise child.trouble(f"was not ready within {READY_WAIT_S:.0f} s")
            time.sleep(POLL_S)

    def _is_ready(self, name: str) -> bool:
        match name:
            case "web":
                return is_answering(self.ports.web, "/readyz", host=f"app.quanyi.localhost:{self.ports.web}")
            case "gateway":
                return answers(self.ports.gateway)
            case "outbox":
                return answers(self.ports.outbox) and answers(self.ports.smtp)
            case _ if name.startswith(SUPPLIER):
                return answers(self.supplier_ports[name.removeprefix(SUPPLIER)])
            case _:
                return self.children[name].is_running()


def in_stop_order(names: Iterable[str]) -> list[str]:
    """Simulated suppliers last: they wait for nobody."""
    order = {name: place for place, name in enumerate(STOP_ORDER)}
    return sorted(names, key=lambda name: (order.get(name, len(order)), name))


def wait_for(condition: Callable[[], bool], *, wait_s: float, otherwise: str) -> None:
    """Poll until the condition holds. Raises: Trouble(otherwise) when it does not within `wait_s`."""
    deadline = time.monotonic() + wait_s
    while not condition():
        if time.monotonic() > deadline:
            raise Trouble(otherwise)
        time.sleep(POLL_S)
