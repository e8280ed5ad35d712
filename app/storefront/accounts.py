"""What a buyer states before he pays, the account to credit among it: asked for on the product's page and in the cart, checked, and shown to him again before he pays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from app.catalog import accounts
from app.catalog.accounts import AccountField, FieldKind
from app.catalog.models import DeliveryKind
from app.fulfillment.prechecking import pre_check
from app.kernel import i18n
from app.kernel.errors import N_
from app.ordering.rules import Offered, Quote
from app.storefront.shelf import Shelved
from app.suppliers.connectors.port import AccountFits, AccountRefused
from tenants.directory import Tenant

PREFIX = "account-"
REFUSED = N_("The supplier says that this account cannot be credited. Look it over and type it again.")


@dataclass(frozen=True, slots=True)
class AccountForm:
    """The fields of one product's account as a page asks for them. `stated` is what was typed or chosen so far; errors are translated."""

    product: Shelved
    prefix: str
    stated: Mapping[str, str] = field(repr=False)
    values: Mapping[str, str] = field(repr=False)
    errors: Mapping[str, str]

    @property
    def fields(self) -> tuple[AccountField, ...]:
        return self.product.buyer_fields

    @property
    def is_credited(self) -> bool:
        """Whether it is an account that a supplier credits."""
        return self.product.delivery_kind == DeliveryKind.DIRECT_TOP_UP

    @property
    def chain(self) -> list[AccountField]:
        """Choices that hang together, in order: shown first, because one decides what the next offers."""
        names = accounts.in_chain(self.fields)
        return [one for one in self.fields if one.name in names]

    @property
    def others(self) -> list[AccountField]:
        names = accounts.in_chain(self.fields)
        return [one for one in self.fields if one.name not in names]

    @property
    def leading(self) -> frozenset[str]:
        """The names of the choices that decide what others offer."""
        return frozenset(one.depends_on for one in self.fields if one.depends_on)

    def control(self, one: AccountField) -> str:
        """What a browser offers to type with."""
        return {FieldKind.EMAIL: "email", FieldKind.PHONE: "tel", FieldKind.WORLD_PHONE: "tel"}.get(one.kind, "text")

    def read_back(self) -> list[tuple[str, str]]:
        """Labels and values, as the buyer is shown them again."""
        return [(one.label, accounts.shown(one, self.values[one.name])) for one in self.fields if one.name in self.values]


@dataclass(frozen=True, slots=True)
class Confirmed:
    """One account to be shown again: what it is for, its values, and whom the supplier found there."""

    name: str
    rows: list[tuple[str, str]] = field(repr=False)
    holder: str = ""


def prefix_in_cart(listing_id: UUID) -> str:
    return f"{PREFIX}{listing_id.hex}-"


def account_form(
    product: Shelved, given: Callable[[str, str], str], *, prefix: str = PREFIX, checks: bool = False
) -> AccountForm:
    """The account of a product as `given` (a form's or an address's `get`) states it. With `checks` its faults are found too."""
    stated = {one.name: given(prefix + one.name, "")[:200] for one in product.buyer_fields}
    if not checks:
        return AccountForm(product, prefix, stated, {}, {})
    found = accounts.check(product.buyer_fields, stated, refuses_virtual=product.refuses_virtual_numbers)
    errors = {
        prefix + name: i18n.gettext(said) % facts if facts else i18n.gettext(said) for name, (said, facts) in found.faults.items()
    }
    return AccountForm(product, prefix, stated, found.values, errors)


def mark_of(wanted: Quote, contact: str) -> str:
    """Of what a buyer is shown again: another account, thing, number or contact has another."""
    return wanted.fingerprint(contact).hex()[:32]


async def looked_up(tenant: Tenant, asked: Sequence[tuple[Offered, AccountForm]]) -> tuple[list[Confirmed], dict[str, str]]:
    """Ask suppliers whether they would credit these accounts: what to show again, and the faults of those they would not.

    No transaction is open while they are asked. Whoever does not answer lets the account pass.
    """
    confirmed, errors = [], {}
    for offered, form in asked:
        found = await pre_check(tenant, offered.sku_id, form.values)
        name = f"{offered.product_name} {offered.sku_name}"
        holder = found.name if isinstance(found, AccountFits) else ""
        confirmed.append(Confirmed(name, form.read_back(), holder))
        if isinstance(found, AccountRefused):
            errors[form.prefix + next(iter(form.values))] = i18n.gettext(REFUSED)
    return confirmed, errors
