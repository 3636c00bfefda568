"""Digests of cards and stories, which the audit log keeps so that nobody can change what people voted on."""

from __future__ import annotations

from pluralism.elicitation.hash_chain import entry_digest

__all__ = ["card_digest", "story_digest"]


def card_digest(card_id: str, document: str, context: str | None) -> str:
    """The digest of a card, as hexadecimal digits.

    It needs no salt: it is kept in the entry of the participant whose card it is, and goes when that is deleted.
    """
    return entry_digest((card_id, document, context), b"").hex()


def story_digest(story_id: str, source: str, wiser: str, context: str, story: str, salt: bytes) -> str:
    """The digest of a story, as hexadecimal digits.

    It is kept in the entry of somebody who may stay when the story is deleted, so that it has a salt, which goes then.
    """
    return entry_digest((story_id, source, wiser, context, story), salt).hex()
