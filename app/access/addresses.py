"""Addresses inside the product: which ones a log-in may lead back to, and which names a shop may have."""

from __future__ import annotations

import re

from app.kernel.errors import N_

NOT_A_SLUG = N_("Use 3 to 40 small letters, digits and hyphens, such as nanzhi-cards. A hyphen stands inside only.")
RESERVED_SLUG = N_("This address is kept for ourselves. Choose another.")
SLUG_TAKEN = N_("Another shop has this address. Choose another.")
_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{1,38})[a-z0-9]")
_RESERVED_TEXT = """
    about abuse access account accounts admin administrator alipay api app apps assets auth billing blog business buy
    careers cdn checkout console contact dashboard demo dev developer docs download email example files finance ftp help
    home hooks host hostmaster image images img imap info internal invite legal localhost log-in login logout mail me media
    metrics mobile news noreply oauth official operator order orders owner partner pay payment payments platform pop portal
    postmaster press privacy proxy public quanyi root sales security service services shop shops sign-up signup smtp spare
    ssl staff staging static status store stores support system team tenant terms test tests trust update upload verify
    webmail webmaster wechat wechatpay wpad www yun
"""
RESERVED = frozenset(_RESERVED_TEXT.split())
_WAY_BACK = re.compile(r"/(?:m|me|console|invitations)(?:/[A-Za-z0-9_.~-]+)*/?(?:\?[A-Za-z0-9_.~=&%+-]*)?")


def fault_of_slug(slug: str) -> str | None:
    """The msgid of what is wrong with a shop's address, or None. It becomes a DNS label, so no hyphen at an end and no `xn--`."""
    if not _SLUG.fullmatch(slug) or slug[2:4] == "--":
        return NOT_A_SLUG
    return RESERVED_SLUG if slug in RESERVED else None


def way_back(wanted: str | None) -> str | None:
    """Where a log-in may lead: a path of ours that a person can have come from, in plain signs; None for anything else.

    Never another host: `//evil`, `/\\evil`, `https:evil` and their encoded forms do not fit.
    """
    return wanted if wanted and len(wanted) <= 500 and _WAY_BACK.fullmatch(wanted) else None
