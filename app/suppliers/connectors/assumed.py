"""A connection's settings read whole, and the table of what nobody has verified: names and codes a merchant can correct.

Where a vendor's text was not read, a connector carries a default in such a table, never a fact in its code. The table is one setting, a line
`name = value` each; a line left out keeps its default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from app.kernel.errors import N_
from app.kernel.strict_json import NotStrictJson
from app.suppliers.connectors.port import IncompleteConnection, Reason, Rejected, Setting, Traits, Unknown
from app.suppliers.connectors.wire import Reply, error_codes

ADDRESS = r"https?://[^\s/?#@]+(/[^\s?#]*)?"
OPTIONAL = r".*"
ASSUMED = "assumed"
REFUSALS = "refusals"

Words = frozenset[str]

_FORMS = {"path": r"(/[^\s@]*)?", "s": r"\d{1,7}", "take": r"\d{1,3}"}
"""By the last part of a line's name: an address stays under the connection's own, a number is one."""


def assumed_setting(defaults: Mapping[str, str]) -> Setting:
    """The table as one field of the form."""
    return Setting(
        name=ASSUMED,
        label=N_("Not verified: names and codes of the protocol"),
        default="\n".join(f"{name} = {value}".rstrip() for name, value in defaults.items()),
        help=N_("One line each. Compare with your supplier's document before you go live."),
        pattern=r"[\s\S]*",
    )


REFUSALS_SETTING = Setting(
    name=REFUSALS,
    label=N_("Codes that are a definite no"),
    help=N_(
        "CODE=reason, separated by commas; reasons: out_of_stock, no_balance, bad_account, price_changed, not_for_sale, refused. "
        "Any code not listed is unknown: it is asked about, never bought elsewhere."
    ),
    pattern=r"[\s\S]*",
)


def settings_of(traits: Traits, config: Mapping[str, str]) -> dict[str, str]:
    """Every setting of a connector, defaults filled in. Raises: IncompleteConnection for the first that has not its form."""
    values: dict[str, str] = {}
    for setting in traits.settings:
        value = config.get(setting.name, "").strip() or setting.default
        if not re.fullmatch(setting.pattern, value):
            raise IncompleteConnection(setting.name, "is missing" if not value else "does not have the form it must have")
        values[setting.name] = value
    return values


def assumptions(text: str, defaults: Mapping[str, str]) -> dict[str, str]:
    """The table with a merchant's lines over the defaults. Raises: IncompleteConnection for a line that is none."""
    table = dict(defaults)
    for line in filter(None, map(str.strip, text.splitlines())):
        name, sign, value = (part.strip() for part in line.partition("="))
        if not sign or name not in table:
            raise IncompleteConnection(ASSUMED, f"there is no line named {name[:60]}")
        if not re.fullmatch(_FORMS.get(re.split(r"[._]", name)[-1], r".*"), value):
            raise IncompleteConnection(ASSUMED, f"{name} does not have the form it must have")
        table[name] = value
    return table


def words(text: str) -> Words:
    """The words of a list separated by commas, in upper case."""
    return frozenset(word.strip().upper() for word in text.split(",") if word.strip())


def refusals_of(text: str, *, never: str = r"(?!)") -> dict[str, Reason]:
    """The merchant's list of definite refusals. Raises: IncompleteConnection for an unknown reason, or a code that may `never` be one."""
    listed: dict[str, Reason] = {}
    for entry in filter(None, (part.strip() for part in re.split(r"[,\n]", text))):
        code, _, reason = (part.strip() for part in entry.partition("="))
        if not code or reason not in set(Reason):
            raise IncompleteConnection(REFUSALS, f"{entry[:60]} is not CODE=reason")
        if re.search(never, code, re.IGNORECASE):
            raise IncompleteConnection(REFUSALS, f"{code[:60]} does not say that nothing was bought")
        listed[code] = Reason(reason)
    return listed


def refused(reply: Reply, path: str, listed: Mapping[str, Reason]) -> Rejected | Unknown:
    """A definite no only where every code the supplier gives is on the list; else Unknown."""
    try:
        codes = [code for code in error_codes(reply.document, path) if code]
    except NotStrictJson as fault:
        return Unknown(f"the refusal cannot be read: {fault}", evidence=reply.evidence())
    evidence = reply.evidence(codes=",".join(codes))
    if codes and all(code in listed for code in codes):
        return Rejected(listed[codes[0]], says=",".join(codes)[:200], evidence=evidence)
    return Unknown(f"the supplier refused with {','.join(codes)[:200] or 'no code'} (HTTP {reply.status})", evidence=evidence)


def is_code_among(document: Any, path: str, known: Words) -> bool:
    """Whether a refusal's codes are all among these words, and there is one."""
    try:
        codes = [code.upper() for code in error_codes(document, path) if code]
    except NotStrictJson:
        return False
    return bool(codes) and set(codes) <= known
