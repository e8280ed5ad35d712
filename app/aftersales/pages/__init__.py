"""The merchant's pages of after-sales."""

from app.aftersales import words
from app.aftersales.pages.case import CasePages, OpeningPages
from app.aftersales.pages.claims import ClaimPages
from app.aftersales.pages.guide import GuidePages
from app.aftersales.pages.queue import QueuePages
from app.aftersales.pages.rates import RatePages, RecallPages
from app.aftersales.pages.settings import PolicyPages
from app.kernel.templating import register_states

register_states("after_sale", words.STATES)
register_states("supplier_claim", words.CLAIM_STATES)

AFTER_SALES = [QueuePages, OpeningPages, CasePages, PolicyPages, ClaimPages, GuidePages, RatePages, RecallPages]
