"""Refusals: what the product says no to, as sentences a person can act on. A bug is never one of these."""

from __future__ import annotations

import re
from typing import Any, ClassVar


def N_(message: str) -> str:  # the name gettext tools look for
    """Mark a message for translation; it is translated where it is shown."""
    return message


class DomainError(Exception):
    """An expected refusal. `message` is a msgid whose `%(name)s` places are filled from the facts given."""

    status: ClassVar[int] = 409
    message: ClassVar[str] = N_("This cannot be done now.")

    def __init__(self, **facts: Any) -> None:
        self.facts = facts
        super().__init__(self.message % facts if facts else self.message)

    @classmethod
    def code(cls) -> str:
        """Its name for programs: `UsedUp` is `used_up`."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()


class NotFound(DomainError):
    """Also what a stranger's id gets: the same answer as for an id that never was."""

    status = 404
    message = N_("There is nothing here. The address may be mistyped, or it belongs to somebody else.")


class Forbidden(DomainError):
    status = 403
    message = N_("Your role does not include this. The shop's owner can change that under Team.")


class TooMany(DomainError):
    status = 429
    message = N_("Too many tries. Wait %(seconds)s seconds and try again.")


class BadRequest(DomainError):
    status = 400
    message = N_("We could not read what was sent. Nothing was changed.")


class TooLarge(DomainError):
    status = 413
    message = N_("That is larger than %(limit)s. Nothing was changed.")


class PageExpired(DomainError):
    """CSRF token missing or not of this session, or a foreign Origin."""

    status = 403
    message = N_("This page is too old to be sent safely. Nothing was changed. Reload it and send it again.")
