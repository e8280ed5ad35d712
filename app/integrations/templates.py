"""The words of each message, in its reader's language. Mails have a plain and an HTML side made from the same lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from markupsafe import Markup

from app.kernel import i18n, links, templating
from app.kernel.errors import N_
from app.kernel.vault import keyring
from tenants.session import Tx

HOW_TO_USE = N_("How to use %(name)s")


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message ready to be handed over."""

    subject: str
    plain: str
    html: str = ""


@dataclass(frozen=True, slots=True)
class Wording:
    """A message's subject, its lines and the words on its one link; all msgids. A text message is the lines and the link alone."""

    subject: str
    lines: tuple[str, ...]
    action: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """What a merchant wrote for the buyers of something, in both of a mail's sides; the HTML is clean."""

    about: str
    plain: str
    html: Markup


@dataclass(frozen=True, slots=True)
class More:
    """What a slice above adds to a message's own words."""

    lines: Sequence[str] = ()
    notes: Sequence[Note] = ()


WORDINGS: dict[str, Wording] = {
    "verify_email": Wording(
        N_("Confirm your e-mail address"),
        (N_("Open this link to confirm your address and finish opening %(shop)s. It works for 24 hours."),),
        N_("Confirm the address"),
    ),
    "reset_password": Wording(
        N_("Choose a new password"),
        (
            N_("Open this link to choose a new password. It works once, for 30 minutes."),
            N_("If you did not ask for it, do nothing: your password stays as it is."),
        ),
        N_("Choose a new password"),
    ),
    "invitation": Wording(
        N_("%(inviter)s invites you to %(shop)s"),
        (N_("%(inviter)s asks you to join %(shop)s as %(role)s. The invitation works for 7 days."),),
        N_("Join"),
    ),
    "login_elsewhere": Wording(
        N_("New log-in to your account"),
        (
            N_(
                "Somebody logged in with your password from %(address)s. If that was not you, choose a new password and end the other sessions."
            ),
        ),
        N_("See my sessions"),
    ),
    "account_exists": Wording(
        N_("You have an account already"),
        (
            N_(
                "Somebody opened the sign-up page with your e-mail address. You have an account with it, so nothing was changed. "
                "Log in, or choose a new password on the log-in page."
            ),
            N_("If it was not you, do nothing."),
        ),
        N_("Log in"),
    ),
    "contact_code": Wording(
        N_("%(code)s is your code for %(shop)s"),
        (N_("%(code)s is your code for %(shop)s. It works for 10 minutes. Give it to nobody."),),
    ),
    "order_delivered": Wording(
        N_("Order %(order_no)s is here"),
        (N_("%(shop)s has delivered order %(order_no)s. Open it to read your keys."),),
        N_("Open the order"),
    ),
    "order_refunded": Wording(
        N_("%(amount)s of order %(order_no)s is on its way back"),
        (N_("%(shop)s could not deliver all of order %(order_no)s. %(amount)s goes back the way you paid, by itself."),),
        N_("Open the order"),
    ),
    "subscription_ending": Wording(
        N_("%(name)s is paid for until %(last_day)s"),
        (
            N_("What you paid for at %(shop)s ends on %(last_day)s. To go on without a gap, open the order and renew it there."),
            N_("Nothing is charged by itself. If you want no more of it, do nothing."),
        ),
        N_("Renew it"),
    ),
    "rule_broken": Wording(
        N_("Alarm: a standing rule does not hold for %(home)s"),
        (
            N_("Looked at just now, this does not hold for %(home)s: %(rules)s"),
            N_("The alarm closes by itself when it holds again."),
        ),
        N_("See the alarms"),
    ),
    "stock_low": Wording(
        N_("%(product)s %(sku)s is running low: %(left)s left"),
        (N_("%(left)s keys of %(product)s %(sku)s are left to sell; you asked to be warned below %(threshold)s."),),
        N_("Import keys"),
    ),
    "replenishment_asked": Wording(
        N_("%(shop)s would like more from you: replenishment %(no)s"),
        (
            N_("Wanted: %(goods)s"),
            N_("Open it to say how many you can send and when, or that you cannot."),
            N_("Keep the link to yourself: whoever has it can answer for you."),
        ),
        N_("Open the replenishment"),
    ),
    "replenishment_cancelled": Wording(
        N_("%(shop)s needs replenishment %(no)s no more"),
        (N_("Please do not send anything for it."), N_("It was: %(goods)s")),
        N_("Open the replenishment"),
    ),
    "replenishment_said": Wording(
        N_("%(shop)s has written to you about replenishment %(no)s"),
        (N_("Open it to read and to answer."),),
        N_("Open the replenishment"),
    ),
    "replenishment_answered": Wording(
        N_("%(supplier)s has answered replenishment %(no)s"),
        (N_("Open it to see what is promised, or why nothing is."),),
        N_("Open the replenishment"),
    ),
    "replenishment_sent": Wording(
        N_("%(supplier)s has sent what replenishment %(no)s asked for"),
        (N_("Import the keys from its page once they are here: they come in at the agreed cost and are counted."),),
        N_("Open the replenishment"),
    ),
    "replenishment_file": Wording(
        N_("%(supplier)s has given keys for replenishment %(no)s"),
        (N_("Nothing of them is for sale before you have looked at them and said yes."),),
        N_("Open the replenishment"),
    ),
    "replenishment_message": Wording(
        N_("%(supplier)s has written about replenishment %(no)s"),
        (N_("Open it to read and to answer."),),
        N_("Open the replenishment"),
    ),
    "unit_undelivered": Wording(
        N_("%(product)s %(sku)s could not be delivered: order %(order_no)s"),
        (
            N_("Why: %(reason)s. The last answer: %(said)s"),
            N_(
                "What was paid for it goes back to the buyer by itself. You are told once a day, however many orders of it this happens to."
            ),
        ),
        N_("See the order"),
    ),
    "cycle_missed": Wording(
        N_("Cycle %(cycle_no)s of %(name)s could not be delivered"),
        (
            N_(
                "Nobody could deliver it, so %(amount)s goes back to the buyer of order %(order_no)s by itself. The cycles to come stay as they are."
            ),
            N_("See to it that the next cycle finds stock or a supplier."),
        ),
        N_("See the subscription"),
    ),
    "handover_overdue": Wording(
        N_("Order %(order_no)s waits for somebody to hand it over"),
        (N_("%(units)s of order %(order_no)s should have been handed over by now. Hand it over, or give the money back."),),
        N_("See what waits"),
    ),
    "supplier_failing": Wording(
        N_("%(connection)s is failing: nothing is bought from it now"),
        (
            N_("More than half of its calls went unanswered, or somebody stopped it. New orders go to your other suppliers."),
            N_("It serves: %(goods)s"),
        ),
        N_("See the board"),
    ),
    "webhook_failing": Wording(
        N_("The webhook %(name)s does not take what it is told"),
        (N_("Nothing is lost: what it did not take stays in its list, and you can have it sent again."),),
        N_("See what it did not take"),
    ),
    "supplier_back": Wording(
        N_("%(connection)s is back"),
        (N_("It answers again, and orders are bought from it as before."),),
        N_("See the board"),
    ),
    "sku_delisted": Wording(
        N_("%(product)s %(sku)s is off the shelf: nobody can deliver it"),
        (N_("It comes back by itself as soon as one of its suppliers can deliver again."),),
        N_("See who could deliver it"),
    ),
    "sku_relisted": Wording(
        N_("%(product)s %(sku)s is on the shelf again"),
        (N_("A supplier can deliver it again."),),
        N_("See who delivers it"),
    ),
    "offer_too_dear": Wording(
        N_("%(offer)s at %(connection)s got too dear: %(cost)s"),
        (
            N_(
                "It would leave less than the least margin you set: its orders go to your other suppliers, or their money goes back."
            ),
        ),
        N_("See the offer"),
    ),
    "supplier_balance_low": Wording(
        N_("Your balance at %(connection)s is %(balance)s"),
        (N_("It is below the line you drew. Top it up before purchases are refused for lack of money."),),
        N_("See the suppliers"),
    ),
    "failure_rate_high": Wording(
        N_("%(name)s: %(share)s of what was delivered failed"),
        (
            N_(
                "%(failed)s of %(delivered)s units of the last 30 days were reported, beyond the line you drew. Look at it, and quarantine a bad batch."
            ),
        ),
        N_("See the failure rates"),
    ),
    "after_sale_overdue": Wording(
        N_("Case %(case_no)s waits too long: %(product)s"),
        (N_("It should have gone on by now. The case says what it waits for, and what can be done."),),
        N_("Open the case"),
    ),
    "after_sale_question": Wording(
        N_("A question about your report on order %(order_no)s"),
        (N_("%(shop)s asks you something about your report. Open your order to read it and to answer."),),
        N_("Open the order"),
    ),
    "after_sale_rejected": Wording(
        N_("%(shop)s has answered your report on order %(order_no)s"),
        (N_("Open your order to read the answer, and what you can do if you do not agree."),),
        N_("Open the order"),
    ),
    "supplier_balance_ending": Wording(
        N_("Your balance at %(connection)s lasts about %(hours)s hours"),
        (
            N_(
                "%(balance)s are left at the pace of your last purchases. Top it up before purchases are refused for lack of money."
            ),
        ),
        N_("See the board"),
    ),
    "supplier_bill_closed": Wording(
        N_("The bill of %(supplier)s to %(last_day)s is closed: %(amount)s"),
        (
            N_(
                "It holds what was bought from %(first_day)s on and what was adjusted. It does not change any more; corrections go to the next one."
            ),
        ),
        N_("See the bill"),
    ),
    "supply_brown_out": Wording(
        N_("%(supplier)s answers badly for %(goods)s"),
        (
            N_(
                "Through %(connection)s, %(well)s of %(calls)s calls of the last 5 minutes were answered; 95 of 100 took %(p95)s."
            ),
            N_("Orders are still bought there unless it fails altogether. Look at it, or stop it by hand."),
        ),
        N_("See the board"),
    ),
    "many_reveals": Wording(
        N_("%(name)s has opened %(keys)s keys within an hour"),
        (
            N_(
                "%(name)s of %(shop)s has opened %(keys)s keys within an hour, which is the most one person may, and wanted more."
            ),
            N_("If you do not know why, end this person's membership on the Team page and look at the audit trail."),
        ),
        N_("See who opened which key"),
    ),
}


async def render(tx: Tx, template: str, locale: str, params: dict[str, Any], more: More) -> Rendered:
    """A message's words, then what a slice above adds. Its link is made from the tenant's record."""
    wording = WORDINGS[template]
    with i18n.speaking(locale):
        subject, lines = words(template, {"shop": tx.tenant.name, **params})
        lines += more.lines
        url = await _url(tx, params)
        action = i18n.gettext(wording.action) if wording.action else ""
        html = templating.render("mail/message.html", subject=subject, lines=lines, notes=more.notes, url=url, action=action)
        notes = [f"{i18n.gettext(HOW_TO_USE) % {'name': note.about}}\n{note.plain}" for note in more.notes]
        plain = "\n\n".join([*lines, *notes, *([url] if url else [])])
    return Rendered(subject, plain + "\n", html)


async def spoken(tx: Tx, template: str, locale: str, params: dict[str, Any]) -> tuple[str, list[str], str]:
    """A message's subject, lines and link in a language, for who takes plain text alone."""
    with i18n.speaking(locale):
        subject, lines = words(template, {"shop": tx.tenant.name, **params})
        return subject, lines, await _url(tx, params)


def words(template: str, params: Mapping[str, Any]) -> tuple[str, list[str]]:
    """A message's subject and lines in the language spoken this moment. A list among its facts is told with commas, a reason is a msgid."""
    wording = WORDINGS[template]
    facts = {name: _told(value) for name, value in params.items()}
    if reason := params.get("reason"):
        facts["reason"] = i18n.gettext(reason)
    if "amount_minor" in params:
        facts["amount"] = i18n.format_money(params["amount_minor"], params["currency"])
    return i18n.gettext(wording.subject) % facts, [i18n.gettext(line) % facts for line in wording.lines]


def _told(value: Any) -> Any:
    return i18n.gettext(N_(", ")).join(value) if isinstance(value, list) else value


async def _url(tx: Tx, params: dict[str, Any]) -> str:
    if "url" in params:
        return str(params["url"])
    if "path" in params:
        return links.merchant(tx.tenant, params["path"])
    if "order_id" in params:
        signature = (await keyring(tx)).link_signature("order", UUID(params["order_id"]))
        return links.order(tx.tenant, params["order_no"], signature)
    return ""
