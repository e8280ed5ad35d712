"""What a trial shop sells, in the language of whoever tries it."""

from __future__ import annotations

from dataclasses import dataclass

from app.kernel.errors import N_


@dataclass(frozen=True, slots=True)
class Good:
    """A product of card-keys with its SKUs: names as msgids, prices in minor units, so many made-up keys each."""

    name: str
    summary: str
    usage: str
    icon: str
    hue: int
    skus: tuple[tuple[str, int, int], ...]


SHOP_NAME = N_("Trial shop")
OWNER_NAME = N_("You")
GOODS = (
    Good(
        N_("Film pass"),
        N_("A made-up pass, to see how a key is sold."),
        N_("Copy the key and redeem it nowhere: it is made up."),
        "clapperboard",
        2,
        ((N_("One month"), 1490, 30), (N_("One year"), 14900, 12)),
    ),
    Good(
        N_("Coffee card"),
        N_("Another one, of which few are left."),
        N_("Copy the key and redeem it nowhere: it is made up."),
        "coffee",
        5,
        ((N_("One cup"), 1990, 4),),
    ),
)
LOW_BELOW = 5
"""So many keys or fewer are told to be few, so that whoever tries it sees a warning."""
