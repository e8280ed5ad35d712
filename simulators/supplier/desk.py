"""The testers' side, unsigned: clients, goods, cards, misbehaviour, and the whole book. Part of no protocol."""

import json
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, Router, delete, get, patch, post
from litestar.exceptions import NotFoundException
from litestar.params import Parameter

from simulators.supplier.book import micro, now
from simulators.supplier.company import Company
from simulators.supplier.faults import Action, Conduct, Door, Rule, Script
from simulators.supplier.notices import Sender
from simulators.supplier.protocol import Protocol

MAX_ROWS = 100_000
AnyRequest = Request[Any, Any, Any]
Json = dict[str, Any]


class Desk(msgspec.Struct):
    """What the endpoints work on."""

    company: Company
    protocol: Protocol
    script: Script
    sender: Sender
    door: Door


class NewClient(msgspec.Struct, forbid_unknown_fields=True):
    name: str = "client"
    balance: Decimal = Decimal(1_000_000)
    currency: str = "CNY"
    credentials: dict[str, str] = {}
    """Instead of fresh ones, where a test or a demo knows them beforehand."""
    notice_url: str = ""
    goods_url: str = ""
    uses_url: str = ""


class ClientChange(msgspec.Struct, forbid_unknown_fields=True):
    balance: Decimal | None = None
    notice_url: str | None = None
    goods_url: str | None = None
    uses_url: str | None = None


class NewGoods(msgspec.Struct, forbid_unknown_fields=True):
    sku: str
    name: str = ""
    kind: str = "card"
    cost: Decimal = Decimal(10)
    currency: str = "CNY"
    face_value_minor: int | None = None
    least_minor: int | None = None
    most_minor: int | None = None
    step_minor: int | None = None
    stock: int | None = None
    is_on_sale: bool = True
    region: str = ""
    account_fields: list[dict[str, Any]] = []


class GoodsChange(msgspec.Struct, forbid_unknown_fields=True):
    cost: Decimal | None = None
    stock: int | msgspec.UnsetType | None = msgspec.UNSET
    is_on_sale: bool | None = None
    changed_at: float | None = None
    """When it changed by the company's own clock, in seconds; now where that is left out."""


class NewCard(msgspec.Struct, forbid_unknown_fields=True):
    number: str
    password: str = ""
    expires_on: str = ""


class NewCards(msgspec.Struct, forbid_unknown_fields=True):
    sku: str
    cards: list[NewCard]


class NewUse(msgspec.Struct, forbid_unknown_fields=True):
    """What was bought under a number is used somewhere, or that use is taken back; by the company's own clock, now where `at` is left out."""

    out_no: str
    place: str = ""
    is_taken_back: bool = False
    at: float | None = None


class Replay(msgspec.Struct, forbid_unknown_fields=True):
    """Send the notices of a purchase again, to their own address or to another, true or forged."""

    out_no: str
    times: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    url: str | None = None
    forge: Action = Action()


@post("/clients", status_code=201)
async def open_client(request: AnyRequest, data: NewClient) -> Json:
    desk = desk_of(request)
    credentials = data.credentials or desk.protocol.new_credentials()
    client = desk.company.open_client(data.name, credentials, data.balance, data.currency)
    if data.notice_url or data.goods_url or data.uses_url:
        desk.company.change_client(client.id, notice_url=data.notice_url, goods_url=data.goods_url, uses_url=data.uses_url)
    return {"client_id": client.id, "credentials": dict(client.credentials)}


@patch("/clients/{client_id:int}")
async def change_client(request: AnyRequest, client_id: int, data: ClientChange) -> Json:
    changes = msgspec.structs.asdict(data)
    client = desk_of(request).company.change_client(client_id, **changes)
    return {"client_id": client.id, "balance": str(client.balance)}


@post("/goods", status_code=201)
async def put_goods(request: AnyRequest, data: list[NewGoods]) -> Json:
    """Adds or replaces."""
    book = desk_of(request).company.book
    with book.write():
        for goods in data:
            values = msgspec.structs.asdict(goods)
            cost_micro, fields = micro(values.pop("cost")), json.dumps(values.pop("account_fields"), ensure_ascii=False)
            values["name"] = goods.name or f"Goods {goods.sku}"
            book.run("delete from goods where sku = ?", goods.sku)
            book.insert("goods", cost_micro=cost_micro, account_fields=fields, changed_at=now(), **values)
    for goods in data:
        desk_of(request).company.announce_goods(goods.sku)
    return {"goods": len(data)}


@patch("/goods/{sku:str}")
async def change_goods(request: AnyRequest, sku: str, data: GoodsChange) -> Json:
    """Price, stock (null: not counted) and sale."""
    book, at = desk_of(request).company.book, now() if data.changed_at is None else data.changed_at
    with book.write():
        if data.cost is not None:
            book.run("update goods set cost_micro = ?, changed_at = ? where sku = ?", micro(data.cost), at, sku)
        if data.stock is not msgspec.UNSET:
            book.run("update goods set stock = ?, changed_at = ? where sku = ?", data.stock, at, sku)
        if data.is_on_sale is not None:
            book.run("update goods set is_on_sale = ?, changed_at = ? where sku = ?", data.is_on_sale, at, sku)
    desk_of(request).company.announce_goods(sku)
    goods = book.goods(sku)
    return {} if goods is None else {"sku": sku, "cost": str(goods.cost), "stock": goods.stock, "is_on_sale": goods.is_on_sale}


@post("/cards", status_code=201)
async def put_cards(request: AnyRequest, data: NewCards) -> Json:
    """Handed out in this order, before any that are made up."""
    book = desk_of(request).company.book
    with book.write():
        for card in data.cards:
            book.insert("card", sku=data.sku, purchase_id=None, **msgspec.structs.asdict(card))
    return {"cards": len(data.cards)}


@post("/script", status_code=201)
async def add_rule(request: AnyRequest, data: Rule) -> Json:
    return {"rules": desk_of(request).script.add(data)}


@delete("/script")
async def clear_rules(request: AnyRequest) -> None:
    desk_of(request).script.clear()


@get("/conduct")
async def show_conduct(request: AnyRequest) -> Json:
    return msgspec.structs.asdict(desk_of(request).company.conduct)


@patch("/conduct")
async def change_conduct(request: AnyRequest, data: dict[str, Any]) -> Response[Json]:
    desk = desk_of(request)
    try:
        conduct = msgspec.convert(msgspec.structs.asdict(desk.company.conduct) | data, Conduct)
    except msgspec.ValidationError as error:
        return Response({"error": str(error)}, status_code=400)
    desk.company.conduct = desk.door.conduct = conduct
    return Response(msgspec.structs.asdict(conduct))


@post("/uses", status_code=201)
async def use(request: AnyRequest, data: NewUse) -> Json:
    desk = desk_of(request)
    book = desk.company.book
    purchase = book.purchase_where("out_no = ?", data.out_no)
    if purchase is None:
        raise NotFoundException(data.out_no)
    with book.write():
        used = {"at": now() if data.at is None else data.at, "place": data.place, "is_taken_back": data.is_taken_back}
        use_id = book.insert("use", purchase_id=purchase.id, **used)
    desk.sender.announce_use(use_id)
    return {"use_id": use_id}


@post("/replay", status_code=200)
async def replay(request: AnyRequest, data: Replay) -> Json:
    statuses = await desk_of(request).sender.resend(data.out_no, times=data.times, url=data.url, forge=data.forge)
    return {"statuses": statuses}


@get("/book")
async def show_book(
    request: AnyRequest, out_no: str | None = None, limit: int = Parameter(default=1000, ge=1, le=MAX_ROWS)
) -> Json:
    """Everything, newest first, of one number or of all. Cards are shown whole: this company has nothing to hide."""
    book = desk_of(request).company.book
    found = book.db
    return {
        name: [dict(row) for row in found.execute(query, {"out_no": out_no, "limit": limit}).fetchall()]
        for name, query in BOOK.items()
    }


@get("/totals")
async def show_totals(request: AnyRequest) -> Json:
    """What a bench counts, without reading the rows."""
    desk = desk_of(request)
    counted = {name: dict(desk.company.book.one(query) or {}) for name, query in TOTALS.items()}
    return counted | {"calls": {"at_once": desk.door.at_once, "highest_at_once": desk.door.highest_at_once}}


def desk_of(request: AnyRequest) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


desk_routes = Router(
    "/desk",
    route_handlers=[
        open_client,
        change_client,
        put_goods,
        change_goods,
        put_cards,
        add_rule,
        clear_rules,
        show_conduct,
        change_conduct,
        replay,
        use,
        show_book,
        show_totals,
    ],
)

BOOK = {
    "purchases": """
select id, client_id, out_no, own_no, sku, quantity, account, face_value_minor, state, reason,
       cost_micro / 1000000.0 as cost, currency, asked, created_at, decided_at, notice_url
from purchase
where :out_no is null or out_no = :out_no
order by id desc
limit :limit
""",
    "effects": """
select id, purchase_id, out_no, sku, account, at
from effect
where :out_no is null or out_no = :out_no
order by id desc
limit :limit
""",
    "cards": """
select card.sku, card.number, card.password, card.expires_on, purchase.out_no
from card
join purchase on purchase.id = card.purchase_id
where :out_no is null or purchase.out_no = :out_no
order by card.id desc
limit :limit
""",
    "asked": """
select at, step, out_no, client_id, ending
from asked
where :out_no is null or out_no = :out_no
order by id desc
limit :limit
""",
    "notices": """
select event.id as event_id, purchase.out_no, event.told, event.state, event.attempts, sent.at, sent.status, sent.answer, sent.altered
from event
join purchase on purchase.id = event.purchase_id
left join sent on sent.event_id = event.id
where :out_no is null or purchase.out_no = :out_no
order by event.id desc, sent.id desc
limit :limit
""",
    "goods_notices": """
select id, client_id, sku, at, status, answer, altered
from goods_sent
where :out_no is null
order by id desc
limit :limit
""",
    "use_notices": """
select purchase.out_no, use.id as use_id, use.place, use.is_taken_back, use_sent.at, use_sent.status, use_sent.answer, use_sent.altered
from use
join purchase on purchase.id = use.purchase_id
left join use_sent on use_sent.use_id = use.id
where :out_no is null or purchase.out_no = :out_no
order by use.id desc, use_sent.id desc
limit :limit
""",
    "clients": """
select id, name, balance_micro / 1000000.0 as balance, currency, notice_url, goods_url, uses_url
from client
order by id
limit :limit
""",
}

TOTALS = {
    "purchases": """
select count(*) as count,
       coalesce(sum(state = 'succeeded'), 0) as succeeded,
       coalesce(sum(state = 'failed'), 0) as failed,
       coalesce(sum(state = 'processing'), 0) as processing,
       coalesce(sum(asked), 0) as asked
from purchase
""",
    "effects": "select count(*) as count, count(distinct out_no) as numbers from effect",
    "asked": """
select coalesce(sum(step = 'place'), 0) as place, coalesce(sum(step = 'query'), 0) as query, count(*) as count
from asked
""",
    "notices": "select count(*) as count, coalesce(sum(status between 200 and 299), 0) as accepted from sent",
}
