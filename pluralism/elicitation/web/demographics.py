"""What participants say about themselves, shown in numbers in which nobody can be recognised."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
from sqlalchemy import Connection, delete, func, insert, select

from pluralism.elicitation.web import tables
from pluralism.elicitation.web.database import Database
from pluralism.elicitation.web.graphs import SMALLEST_GROUP
from pluralism.elicitation.web.studies import load_study
from pluralism.elicitation.web.study_transaction import Clock, study_transaction
from pluralism.errors import InterviewError, NotFoundError, UsageError

__all__ = ["Demographics", "suppressed"]


class Demographics:
    """The demographics of a database.

    Parameters
    ----------
    database : Database
    clock : callable
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    def answer(self, participant_id: str, answers: Mapping[str, str | None]) -> None:
        """Put these answers in the place of earlier ones.

        Parameters
        ----------
        participant_id : str
        answers : mapping
            Ids of options by ids of questions; None, or left out, where somebody does not want to say.

        Raises
        ------
        InterviewError
            The participant has not consented yet, or no more.
        UsageError
            The study has no such question or option.
        NotFoundError
            There is no such participant.
        """
        said = tables.demographics.c
        study_id = self.check(participant_id, answers)
        with study_transaction(self._database, study_id, self._clock()) as study:
            connection = study.connection
            _check(connection, participant_id, answers)
            connection.execute(delete(tables.demographics).where(said.participant_id == participant_id))
            for name, option in answers.items():
                if option is not None:
                    connection.execute(
                        insert(tables.demographics).values(participant_id=participant_id, question=name, option=option)
                    )
            # The log keeps that something was said, and nothing of what.
            study.log(participant_id, "demographics given")

    def check(self, participant_id: str, answers: Mapping[str, str | None]) -> str:
        """Refuse what `answer` would refuse, and keep nothing; the id of the participant's study."""
        with self._database.read() as connection:
            return _check(connection, participant_id, answers)

    def get(self, participant_id: str) -> dict[str, str]:
        """The answers of one participant, for that participant."""
        said = tables.demographics.c
        with self._database.read() as connection:
            rows = connection.execute(select(said.question, said.option).where(said.participant_id == participant_id))
            return {question: option for question, option in rows}

    def table(self, study_id: str, *, k: int = SMALLEST_GROUP) -> pa.Table:
        """How many gave which answer.

        Parameters
        ----------
        study_id : str
        k : int
            Smaller counts are not shown, nor is the next larger one where the total would tell what is left out.

        Returns
        -------
        pyarrow.Table
            `question`, `option` (null for those who did not say), `count` (null where it is not shown).

        Raises
        ------
        NotFoundError
            There is no such study.
        UsageError
            `k` is too small.
        """
        if k < SMALLEST_GROUP:
            raise UsageError(f"k={k!r} is too small.", fix=f"Cells have at least {SMALLEST_GROUP} people.")
        people, said = tables.participants.c, tables.demographics.c
        with self._database.read() as connection:
            questions = load_study(connection, study_id).demographics
            mine = (people.study_id == study_id, people.deleted_at.is_(None), people.consent_version.is_not(None))
            everybody = connection.scalar(select(func.count()).where(*mine)) or 0
            counted = connection.execute(
                select(said.question, said.option, func.count())
                .join_from(tables.demographics, tables.participants, said.participant_id == people.id)
                .where(*mine)
                .group_by(said.question, said.option)
            )
            counts = {(question, option): n for question, option, n in counted}
        rows = []
        for question in questions:
            cells = [counts.get((question.id, option.id), 0) for option in question.options]
            shown = suppressed([*cells, everybody - sum(cells)], k)
            names = [*(option.id for option in question.options), None]
            rows += [(question.id, name, n) for name, n in zip(names, shown, strict=True)]
        return pa.table(
            {
                "question": pa.array([row[0] for row in rows], pa.string()),
                "option": pa.array([row[1] for row in rows], pa.string()),
                "count": pa.array([row[2] for row in rows], pa.int64()),
            }
        )


def _check(connection: Connection, participant_id: str, answers: Mapping[str, str | None]) -> str:
    people = tables.participants.c
    person = connection.execute(
        select(people.study_id, people.consent_version).where(people.id == participant_id)
    ).one_or_none()
    if person is None:
        raise NotFoundError("There is no such participant.", fix="Check the id.")
    if person.consent_version is None:
        raise InterviewError("Nothing is asked before there is consent.", fix="Consent first.")
    questions = {one.id: one for one in load_study(connection, person.study_id).demographics}
    for name, option in answers.items():
        options = [one.id for one in questions[name].options] if name in questions else []
        if option is not None and option not in options:
            raise UsageError(f"{option!r} is no answer to {name!r}.", fix="Send what is offered.")
    return str(person.study_id)


def suppressed(counts: list[int], k: int) -> list[int | None]:
    """Counts of a table with a known total, without those from 1 to k - 1 and without what would tell them.

    One missing count follows from the total and the others, and so may two or more whose sum is small: then the
    smallest of the rest are left out too, until the missing ones sum to at least k and are at least two. Where the rest
    is not enough for that, the zeros are left out as well.

    Examples
    --------
    >>> suppressed([9, 2, 12, 0], 5)
    [None, None, 12, 0]
    """
    hidden = [i for i, n in enumerate(counts) if 0 < n < k]
    rest = sorted((i for i, n in enumerate(counts) if n >= k), key=lambda i: (counts[i], i))
    while hidden and rest and (len(hidden) < 2 or sum(counts[i] for i in hidden) < k):
        hidden.append(rest.pop(0))
    if hidden and (len(hidden) < 2 or sum(counts[i] for i in hidden) < k):
        return [None] * len(counts)
    return [None if i in hidden else n for i, n in enumerate(counts)]
