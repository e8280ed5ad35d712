"""What a buyer states before he pays, the account to credit among it: asked for on the product's page and in the cart, checked, and shown to him again before he pays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from app.catalog import accounts
from app.catalog.accounts import AccountField, FieldKind
from app.fulfillment.prechecking import pre_check
from app.kernel import i18n
from app.kernel.errors import N_
from app.ordering.rules import AccountKey, Quote
from app.storefront.shelf import Asked, Shelved
from app.suppliers.connectors.port import AccountFits, AccountRefused
from tenants.directory import Tenant

PREFIX = "account-"
REFUSED = N_("The supplier says that this account cannot be credited. Look it over and type it again.")


@dataclass(frozen=True, slots=True)
class AccountForm:
    """The fields of one account as a page asks for them. `stated` is what was typed or chosen so far; errors are translated."""

    asked: Asked
    prefix: str
    stated: Mapping[str, str] = field(repr=False)
    values: Mapping[str, str] = field(repr=False)
    errors: Mapping[str, str]

    @property
    def fields(self) -> tuple[AccountField, ...]:
        return self.asked.fields

    @property
    def narrow(self) -> str:
        """The id of the form that carries its choices so far."""
        return f"narrow-{self.prefix.strip('-')}"

    @property
    def is_credited(self) -> bool:
        """Whether it is an account that a supplier credits."""
        return self.asked.is_credited

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


def account_forms(
    product: Shelved, listing_id: UUID, given: Callable[[str, str], str], *, in_cart: bool = False, checks: bool = False
) -> dict[AccountKey, AccountForm]:
    """What one offer asks its buyer for, as `given` (a form's or an address's `get`) states them. With `checks` their faults are found too."""
    return {
        key: _form(asked, _prefix(asked, listing_id, in_cart=in_cart), given, checks=checks)
        for key, asked in product.asked.items()
        if key[0] == listing_id
    }


def _prefix(asked: Asked, listing_id: UUID, *, in_cart: bool) -> str:
    """What the names of its fields begin with: one product on its page needs no more than "account-"."""
    return f"{PREFIX}{f'{listing_id.hex}-' if in_cart else ''}{f'{asked.sku_id.hex}-' if asked.is_part else ''}"


def _form(asked: Asked, prefix: str, given: Callable[[str, str], str], *, checks: bool) -> AccountForm:
    stated = {one.name: given(prefix + one.name, "")[:200] for one in asked.fields}
    if not checks:
        return AccountForm(asked, prefix, stated, {}, {})
    found = accounts.check(asked.fields, stated, refuses_virtual=asked.refuses_virtual_numbers)
    errors = {prefix + name: i18n.filled(said, facts) for name, (said, facts) in found.faults.items()}
    return AccountForm(asked, prefix, stated, found.values, errors)


def mark_of(wanted: Quote, contact: str) -> str:
    """Of what a buyer is shown again: another account, thing, number or contact has another."""
    return wanted.fingerprint(contact).hex()[:32]


async def looked_up(tenant: Tenant, asked: Sequence[AccountForm]) -> tuple[list[Confirmed], dict[str, str]]:
    """Ask suppliers whether they would credit these accounts: what to show again, and the faults of those they would not.

    No transaction is open while they are asked. Whoever does not answer lets the account pass.
    """
    confirmed, errors = [], {}
    for form in asked:
        found = await pre_check(tenant, form.asked.sku_id, form.values)
        holder = found.name if isinstance(found, AccountFits) else ""
        confirmed.append(Confirmed(form.asked.name, form.read_back(), holder))
        if isinstance(found, AccountRefused):
            errors[form.prefix + next(iter(form.values))] = i18n.gettext(REFUSED)
    return confirmed, errors
