"""Where an interview stands: a pure function of its events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from pluralism.elicitation.interview.events import (
    BallotItem,
    CardText,
    Guessed,
    Proposal,
    Started,
    Verdict,
    VoteAnswer,
)
from pluralism.llm import Usage

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["PHASES", "Awaited", "CastVote", "Due", "InterviewState", "Phase", "Turn"]

Phase: TypeAlias = Literal[
    "started",
    "consented",
    "context_chosen",
    "interviewing",
    "card_draft",
    "card_confirmed",
    "dedup_confirmed",
    "voting",
    "exit_survey",
    "done",
    "paused",
    "withdrawn",
    "expired",
]
Due: TypeAlias = Literal["guess", "question", "card", "duplicates", "ballot"]
Awaited: TypeAlias = Literal["consent", "context", "answer", "card", "duplicate", "vote", "survey", "return"]

PHASES: tuple[str, ...] = get_args(Phase)


@dataclass(frozen=True, repr=False)
class Turn:
    """A question, and its answer where there is one yet."""

    number: int
    stage: str
    question: str
    answer: str | None = None

    def __repr__(self) -> str:
        return f"Turn({self.number}, {self.stage!r}, {'answered' if self.answer is not None else 'open'})"


@dataclass(frozen=True, repr=False)
class CastVote:
    """An answer to an item of the ballot."""

    answer: VoteAnswer
    comment: str
    at: datetime

    def __repr__(self) -> str:
        return f"CastVote({self.answer!r})"


@dataclass(frozen=True, repr=False)
class InterviewState:
    """Where an interview stands; its `repr` does not show what was said.

    Attributes
    ----------
    begun : Started
        What decides its course.
    version : int
        Number of events so far.
    stage : str
        The phase, disregarding that the interview may be paused, withdrawn or expired.
    halted : {"paused", "withdrawn", "expired"} or None
    scopes : tuple of str
        What the participant consents to.
    context, context_text : str or None
    turns : tuple of Turn
    guess : Guessed or None
    drafts : tuple of CardText
        Versions 1, 2, ... of the card.
    revision : str or None
        What the participant wants changed in the last draft.
    card_wanted : bool
        Whether a draft is to be made.
    confirmed : int or None
        The version that the participant says is theirs.
    proposals, verdicts : tuple of Proposal or None; mapping of card ids
    ballot, votes : tuple of BallotItem or None; mapping of item numbers
    survey : mapping or None
    usage : Usage
        Of language models.
    fallbacks : int
        How often a language model failed.
    last_at, last_word_at : datetime or None
        Of the last event, and of the last one by the participant.
    """

    begun: Started
    version: int = 1
    stage: Phase = "started"
    halted: Literal["paused", "withdrawn", "expired"] | None = None
    scopes: tuple[str, ...] = ()
    context: str | None = None
    context_text: str | None = None
    turns: tuple[Turn, ...] = ()
    guess: Guessed | None = None
    drafts: tuple[CardText, ...] = ()
    revision: str | None = None
    card_wanted: bool = False
    confirmed: int | None = None
    proposals: tuple[Proposal, ...] | None = None
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    ballot: tuple[BallotItem, ...] | None = None
    votes: Mapping[int, CastVote] = field(default_factory=dict)
    survey: Mapping[str, int | str] | None = None
    usage: Usage = field(default_factory=Usage)
    fallbacks: int = 0
    last_at: datetime | None = None
    last_word_at: datetime | None = None

    @property
    def phase(self) -> Phase:
        """Where it stands."""
        return self.halted or self.stage

    @property
    def answered(self) -> int:
        """Number of answers."""
        return sum(turn.answer is not None for turn in self.turns)

    @property
    def due(self) -> Due | None:
        """What the interviewer has to do next, before the participant can go on."""
        if self.halted is not None:
            return None
        if self.stage == "context_chosen":
            return "question"
        if self.stage == "interviewing":
            return None if self.answered < len(self.turns) else self._after_an_answer()
        if self.stage == "card_draft" and self.card_wanted:
            return "card"
        if self.stage == "card_confirmed" and self.proposals is None:
            return "duplicates"
        return "ballot" if self.stage == "dedup_confirmed" else None

    @property
    def awaits(self) -> Awaited | None:
        """What the participant has to do next; None while something is due, and at the end."""
        if self.halted == "paused":
            return "return"
        if self.halted is not None or self.due is not None:
            return None
        steps: dict[str, Awaited] = {
            "started": "consent",
            "consented": "context",
            "interviewing": "answer",
            "card_draft": "card",
            "card_confirmed": "duplicate",
            "voting": "vote",
            "exit_survey": "survey",
        }
        return steps.get(self.stage)

    @property
    def draft(self) -> CardText | None:
        """The last draft of the card."""
        return self.drafts[-1] if self.drafts else None

    @property
    def card(self) -> CardText | None:
        """The confirmed card."""
        return None if self.confirmed is None else self.drafts[self.confirmed - 1]

    @property
    def next_proposal(self) -> Proposal | None:
        """The first proposal that is not judged."""
        return next((one for one in self.proposals or () if one.card_id not in self.verdicts), None)

    @property
    def next_item(self) -> int | None:
        """The first item of the ballot without a vote."""
        return next((k for k in range(len(self.ballot or ())) if k not in self.votes), None)

    def _after_an_answer(self) -> Due:
        limits, n = self.begun.limits, self.answered
        if n >= limits.max_turns:
            return "card"
        if n < limits.min_turns:
            return "question"
        if self.guess is None or self.guess.turn < n:
            return "guess"
        return "card" if self.guess.ready else "question"

    def __repr__(self) -> str:
        notes = {
            "interviewing": f", {self.answered} answers",
            "card_draft": f", version {len(self.drafts)}",
            "voting": f", {len(self.votes)} of {len(self.ballot or ())}",
        }
        return f"InterviewState({self.phase}{notes.get(self.phase, '')}; {self.version} events)"

    def to_dict(self) -> dict[str, Any]:
        """What the participant said and decided, by name."""
        return {
            "session": self.begun.session,
            "participant": self.begun.participant,
            "protocol": self.begun.protocol,
            "case": self.begun.case,
            "language": self.begun.language,
            "interviewer": self.begun.interviewer,
            "phase": self.phase,
            "events": self.version,
            "scopes": list(self.scopes),
            "context": self.context_text,
            "turns": [{"stage": turn.stage, "question": turn.question, "answer": turn.answer} for turn in self.turns],
            "card": None if self.card is None else {"id": self.card.card().id, **self.card.model_dump(mode="json")},
            "duplicates": dict(self.verdicts),
            "votes": self.vote_rows(),
            "survey": None if self.survey is None else dict(self.survey),
            "usage": {
                "calls": self.usage.calls,
                "prompt_tokens": self.usage.prompt_tokens,
                "completion_tokens": self.usage.completion_tokens,
            },
            "fallbacks": self.fallbacks,
        }

    def vote_rows(self) -> list[dict[str, str]]:
        """The votes that count, as rows of a `pluralism.elicitation.vote_log.VoteLog`."""
        rows = []
        for number, vote in sorted(self.votes.items()):
            item = (self.ballot or ())[number]
            rows.append(
                {
                    "participant": self.begun.participant,
                    "source": item.source_id,
                    "wiser": item.wiser_id,
                    "context": item.context,
                    "answer": vote.answer,
                    "time": vote.at.replace(tzinfo=None).isoformat(),
                    "reason": item.reason,
                    "story": item.hypothesis().id,
                    "comment": vote.comment,
                }
            )
        return rows

    def to_frame(self) -> pa.Table:
        """The votes that count, a row each; columns as in `vote_rows`."""
        import pyarrow as pa

        names = ("participant", "source", "wiser", "context", "answer", "time", "reason", "story", "comment")
        return pa.Table.from_pylist(self.vote_rows(), pa.schema([(name, pa.string()) for name in names]))

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False)
