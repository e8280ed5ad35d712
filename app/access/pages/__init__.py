"""Pages of people: opening a shop, logging in, one's own account, the team, the keys of programs."""

from litestar.types import ControllerRouterHandler

from app.access.pages.api_keys import ApiKeyPages
from app.access.pages.logging_in import LogInPages, PasswordPages
from app.access.pages.me import MePages, SecondFactorPages, SecurityPages
from app.access.pages.signing_up import SignUpPages, start
from app.access.pages.team import InvitationPages, TeamPages

ROUTES: list[ControllerRouterHandler] = [
    start,
    SignUpPages,
    LogInPages,
    PasswordPages,
    MePages,
    SecurityPages,
    SecondFactorPages,
    TeamPages,
    InvitationPages,
    ApiKeyPages,
]

__all__ = ["ROUTES"]
