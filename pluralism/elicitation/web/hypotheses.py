"""Pairs of values that participants are asked about: those of organisers, and those that interviews have drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import func, select, update

from pluralism.elicitation.hypothesis import UpgradeHypothesis
from pluralism.elicitation.interview.participant_text import clean
from pluralism.elicitation.web import tables
from pluralism.elicitation.web.built_graph import study_cards
from pluralism.elicitation.web.database import Database
from pluralism.elicitation.web.event_rows import ERASED
from pluralism.elicitation.web.recording import add_story
from pluralism.elicitation.web.studies import load_study
from pluralism.elicitation.web.study_transaction import Clock, study_transaction
from pluralism.errors import NotFoundError, UsageError

__all__ = ["Hypotheses", "HypothesisRow"]

_STORY = 4000
_ORGANISER = "organiser"


@dataclass(frozen=True)
class HypothesisRow:
    """A hypothesis and what people answered.

    Attributes
    ----------
    id : str
    hypothesis : UpgradeHypothesis
        Its story is "—" where it was deleted.
    origin : {"organiser", "ballot"}
    active : bool
        Whether people may be asked about it.
    upgrade, no_upgrade, not_sure : int
        Votes as they were cast.
    """

    id: str
    hypothesis: UpgradeHypothesis
    origin: Literal["organiser", "ballot"]
    active: bool
    upgrade: int
    no_upgrade: int
    not_sure: int


class Hypotheses:
    """The hypotheses of a database.

    Parameters
    ----------
    database : Database
    clock : callable
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    def of_study(self, study_id: str) -> tuple[HypothesisRow, ...]:
        """All hypotheses, those of organisers first.

        Raises
        ------
        NotFoundError
            There is no such study.
        """
        known, vote = tables.hypotheses.c, tables.votes.c
        counts = [func.count().filter(vote.answer == answer) for answer in ("upgrade", "no_upgrade", "not_sure")]
        with self._database.read() as connection:
            load_study(connection, study_id)
            rows = connection.execute(
                select(
                    known.id,
                    known.source_id,
                    known.wiser_id,
                    known.context,
                    known.story,
                    known.model,
                    known.from_ballot,
                    known.active,
                    *counts,
                )
                .outerjoin_from(tables.hypotheses, tables.votes, vote.hypothesis_id == known.id)
                .where(known.study_id == study_id)
                .group_by(known.id)
                .order_by(known.from_ballot, known.position)
            ).all()
        found = []
        for name, source, wiser, context, story, model, from_ballot, active, *answers in rows:
            told = ERASED if story is None else story
            hypothesis = UpgradeHypothesis(source, wiser, context, told, model)
            found.append(HypothesisRow(name, hypothesis, "ballot" if from_ballot else "organiser", active, *answers))
        return tuple(found)

    def add(self, study_id: str, source: str, wiser: str, context: str, *, story: str, by: str) -> HypothesisRow:
        """Add a pair with its story, which participants in that context are asked about before others.

        Parameters
        ----------
        study_id, source, wiser : str
            Ids of the study and of two of its cards.
        context : str
            The text of one of the case's contexts.
        story : str
            In the first person: how somebody came from one value to the other.
        by : str
            The id of the organiser's link.

        Raises
        ------
        NotFoundError
            The study has no such card or context.
        UsageError
            Both cards are the same.
        InterviewError
            There is no story, or it is too long.
        """
        if source == wiser:
            raise UsageError("A hypothesis leads from one value to another.", fix="Name two cards.")
        told = clean(story, most=_STORY, what="The story")
        with study_transaction(self._database, study_id, self._clock()) as study:
            case = load_study(study.connection, study_id).case
            if context not in {text for one in case.contexts for text in one.text.values()}:
                raise NotFoundError(f"The case has no context {context!r}.", fix="Give its whole text.")
            cards, _ = study_cards(study.connection, study_id)
            for card in (source, wiser):
                if card not in cards:
                    raise NotFoundError(f"The study has no card {card!r}.", fix="Was it hidden or deleted?")
            name, digest = add_story(study, source, wiser, context, told, _ORGANISER, from_ballot=False)
            study.log(by, "hypothesis added", name, {"stories": {name: digest}})
            study.changed()
        hypothesis = UpgradeHypothesis(source, wiser, context, told, _ORGANISER)
        return HypothesisRow(name, hypothesis, "organiser", True, 0, 0, 0)

    def retire(self, study_id: str, hypothesis_id: str, *, by: str) -> None:
        """Ask nobody about a hypothesis any more; votes on it stay.

        Raises
        ------
        NotFoundError
            The study has no such hypothesis.
        """
        self._set_active(study_id, hypothesis_id, False, by)

    def revive(self, study_id: str, hypothesis_id: str, *, by: str) -> None:
        """Ask about a hypothesis again; otherwise as `retire`."""
        self._set_active(study_id, hypothesis_id, True, by)

    def _set_active(self, study_id: str, hypothesis_id: str, active: bool, by: str) -> None:
        known = tables.hypotheses.c
        mine = (known.id == hypothesis_id, known.study_id == study_id, known.story.is_not(None))
        with study_transaction(self._database, study_id, self._clock()) as study:
            was = study.connection.scalar(select(known.active).where(*mine))
            if was is None:
                raise NotFoundError("The study has no such hypothesis.", fix="Was its story deleted?")
            if was != active:
                study.connection.execute(update(tables.hypotheses).where(*mine).values(active=active))
                study.log(by, "hypothesis revived" if active else "hypothesis retired", hypothesis_id)
                study.changed()
