"""What a language model may write for people to sign: plain text of a bounded length."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

from pluralism.elicitation.interview.participant_text import seen, suspicious

__all__ = ["PlainStatement"]

CHARACTERS = 3000


class PlainStatement(BaseModel):
    """One statement, without links, markup and characters that nobody sees."""

    model_config = ConfigDict(extra="forbid")
    statement: str = Field(min_length=1, max_length=CHARACTERS)

    @field_validator("statement")
    @classmethod
    def fit_to_show(cls, text: str) -> str:
        """The text as people see it."""
        kept = seen(text)
        if not kept or suspicious(kept):
            raise ValueError("a statement is plain text, without links and markup")
        return kept
