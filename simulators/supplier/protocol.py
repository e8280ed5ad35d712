"""What a protocol is to the company: it reads calls, says answers in its own words, and signs messages."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from simulators.supplier.book import Client, Goods, Purchase, Used
from simulators.supplier.company import Company, Refusal
from simulators.supplier.faults import Step


@dataclass(frozen=True)
class Asked:
    """One call as it came. Header names are in lower case."""

    method: str
    path: str
    query_string: str
    headers: Mapping[str, str]
    body: bytes

    @cached_property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.query_string, keep_blank_values=True))

    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    def json(self) -> dict[str, Any]:
        """Raises: Refusal malformed."""
        try:
            document = json.loads(self.body or b"{}")
        except ValueError as error:
            raise Refusal("malformed", "The body is not JSON.") from error
        if not isinstance(document, dict):
            raise Refusal("malformed", "The body is not an object.")
        return document


@dataclass(frozen=True)
class Reply:
    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, document: object, status: int = 200) -> "Reply":
        """NaN is written as such: that is one of the faults."""
        body = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
        return cls(body, status, {"Content-Type": "application/json; charset=utf-8"})


@dataclass(frozen=True)
class Task:
    """A call that was understood, its signature checked and nothing done yet. `run` does it, and may raise Refusal."""

    step: Step
    run: Callable[[], Reply]
    client: Client | None = None
    out_no: str | None = None
    sku: str | None = None


@dataclass(frozen=True)
class Message:
    """A notice to a client. `method` is POST unless the protocol says otherwise."""

    url: str
    body: bytes
    headers: Mapping[str, str]
    method: str = "POST"


class Protocol(ABC):
    """One protocol over one company. Its methods are called on one thread and wait for nothing."""

    repeats: ClassVar[str] = "same"
    """What a number used before gets in this protocol: `same`, `refuse` or `again`. The desk may choose otherwise."""

    def __init__(self, company: Company) -> None:
        self.company = company

    @abstractmethod
    def new_credentials(self) -> dict[str, str]:
        """What a new client is given, by the names its connection's settings have."""

    @abstractmethod
    def read(self, asked: Asked) -> Task:
        """Understand a call and check who asks. Raises: Refusal bad_signature, malformed and others."""

    @abstractmethod
    def refused(self, refusal: Refusal) -> Reply:
        """A no in the protocol's own codes. Kinds it has no code for get one that is in no document."""

    def notice(self, client: Client, purchase: Purchase) -> Message | None:
        """What the client is told of a purchase as it stands; None where the protocol or the client wants no notices."""
        return None

    def goods_notice(self, client: Client, goods: Goods, at: float) -> Message | None:
        """What the client is told of one of the goods as it stood at an instant; None where the protocol or the client wants no such notices."""
        return None

    def use_notice(self, client: Client, purchase: Purchase, used: Used) -> Message | None:
        """What the client is told of a use of what it bought; None where the protocol or the client wants no such notices."""
        return None

    def is_acknowledged(self, status: int, body: bytes) -> bool:
        """Whether a notice was taken, by its answer."""
        return 200 <= status < 300
