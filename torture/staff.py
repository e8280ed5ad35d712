"""The merchants' people."""

from __future__ import annotations

from uuid import UUID

from app.kernel.actor import Actor, ActorKind

MERCHANT = Actor(ActorKind.STAFF, UUID(int=7), "Zhou")
COLLEAGUE = Actor(ActorKind.STAFF, UUID(int=8), "Wu")
"""Whoever asks for something that takes two, the other approves."""
