"""The outbox's book: one row for each message that arrived."""

import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]
MAX_TEXT_CHARS = 500_000


class UsedForOtherText(Exception):
    """A text message's id is taken by another message."""


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail as its envelope and its parts say. `recipients` are the envelope's, in lower case."""

    sender: str
    recipients: tuple[str, ...]
    subject: str
    text: str
    html: str


class Box:
    def __init__(self, path: Path) -> None:
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.row_factory = sqlite3.Row
        self.db.execute("pragma journal_mode=wal")
        self.db.execute("pragma synchronous=normal")
        self.db.execute("pragma busy_timeout=5000")
        self.db.executescript(SCHEMA)

    def close(self) -> None:
        self.db.close()

    def keep_mail(self, mail: Mail) -> None:
        """One row for each recipient, all or none."""
        now = time.time()
        rows = [
            ("mail", mail.sender, to, mail.subject, mail.text[:MAX_TEXT_CHARS], mail.html[:MAX_TEXT_CHARS], None, now)
            for to in mail.recipients
        ]
        self.db.execute("begin immediate")
        self.db.executemany(KEEP, rows)
        self.db.execute("commit")

    def keep_sms(self, to: str, text: str, outside_id: str) -> None:
        """Idempotent on `outside_id`. Raises: UsedForOtherText."""
        self.db.execute(KEEP, ("sms", "", to, "", text, "", outside_id, time.time()))
        kept = self.db.execute("select recipient, text from message where outside_id = ?", (outside_id,)).fetchone()
        if (kept["recipient"], kept["text"]) != (to, text):
            raise UsedForOtherText

    def newest(self, *, to: str = "", limit: int, before: int | None = None) -> list[Row]:
        """Messages whose recipient contains `to`, newest first, older than the message `before`."""
        escaped = to.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        found = self.db.execute(NEWEST, {"to": f"%{escaped}%", "before": before, "limit": limit})
        return found.fetchall()

    def message(self, message_id: int) -> Row | None:
        row: Row | None = self.db.execute("select * from message where id = ?", (message_id,)).fetchone()
        return row


KEEP = """
insert into message (medium, sender, recipient, subject, text, html, outside_id, received_at)
values (?, ?, ?, ?, ?, ?, ?, ?)
on conflict (outside_id) do nothing
"""

NEWEST = r"""
select *
from message
where recipient like :to escape '\' and (:before is null or id < :before)
order by id desc
limit :limit
"""

SCHEMA = """
create table if not exists message (
  id integer primary key, medium text not null check (medium in ('mail', 'sms')), sender text not null,
  recipient text not null, subject text not null, text text not null, html text not null,
  outside_id text unique, received_at real not null
);
"""
