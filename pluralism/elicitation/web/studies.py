"""The studies of a database: created, opened, closed, counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from pydantic import ValidationError
from sqlalchemy import Connection, Row, insert, select, update

from pluralism.elicitation.hash_chain import START
from pluralism.elicitation.interview.case import Case
from pluralism.elicitation.interview.events import CardText
from pluralism.elicitation.interview.participant_text import clean_line
from pluralism.elicitation.interview.protocol import Protocol
from pluralism.elicitation.web import tables
from pluralism.elicitation.web.content_store import keep_content, load_case, load_protocol
from pluralism.elicitation.web.database import Database
from pluralism.elicitation.web.live_counts import LiveCounts, live_counts
from pluralism.elicitation.web.recording import add_card, add_merge
from pluralism.elicitation.web.study import DemographicQuestion, InterviewerKind, Status, Study, StudySettings
from pluralism.elicitation.web.study_transaction import Clock, StudyTransaction, new_id, study_transaction
from pluralism.errors import NotFoundError, UsageError

__all__ = ["Studies", "load_study"]

_SERVICE = "service"


class Studies:
    """The studies of a database.

    Parameters
    ----------
    database : Database
    clock : callable
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    def create(
        self,
        *,
        title: str,
        protocol: Protocol,
        case: Case,
        by: str,
        interviewer: InterviewerKind = "scripted",
        count_partial: bool = False,
        show_graph: bool = True,
        max_participants: int | None = None,
        demographics: Sequence[DemographicQuestion] = (),
    ) -> Study:
        """Create a study, with the cards that the case begins with; it is a draft until it is opened.

        Where protocol and case share several languages, the case's contexts and cards in the others are merged with
        those in the first, so that one moral graph comes of all; the merges can be undone.

        Parameters
        ----------
        title : str
        protocol, case : Protocol, Case
        by : str
            The id of the organiser's link.
        interviewer, count_partial, show_graph, max_participants, demographics
            As in `StudySettings`.

        Raises
        ------
        UsageError
            Protocol and case share no language, or a setting cannot be that.
        """
        settings = _settings(
            interviewer=interviewer,
            count_partial=count_partial,
            show_graph=show_graph,
            max_participants=max_participants,
            demographics=tuple(demographics),
        )
        _check_languages(protocol, case, settings)
        name, at = new_id(), self._clock()
        with self._database.write() as connection:
            connection.execute(
                insert(tables.studies).values(
                    id=name,
                    title=clean_line(title, most=200, what="The title"),
                    status="draft",
                    created_at=at,
                    protocol_digest=keep_content(connection, protocol),
                    case_digest=keep_content(connection, case),
                    settings=settings.model_dump_json(),
                    version=0,
                    purges=0,
                    n_entries=0,
                    entries_head=START,
                    n_votes=0,
                    votes_head=START,
                )
            )
            study = StudyTransaction(connection, name, at, 0, 0, 0, START, 0, START)
            study.log(by, "created", None, {"protocol": protocol.digest(), "case": case.digest()})
            _add_starting_cards(study, protocol, case)
            study.store()
        return self.get(name)

    def get(self, study_id: str) -> Study:
        """A study.

        Raises
        ------
        NotFoundError
            There is none of this id.
        """
        with self._database.read() as connection:
            return load_study(connection, study_id)

    def all(self) -> tuple[Study, ...]:
        """All studies, the newest first."""
        columns = tables.studies.c
        with self._database.read() as connection:
            rows = connection.execute(select(tables.studies).order_by(columns.created_at.desc(), columns.id)).all()
            return tuple(_study(connection, row) for row in rows)

    def change(
        self,
        study_id: str,
        *,
        by: str,
        title: str | None = None,
        status: Status | None = None,
        protocol: Protocol | None = None,
        case: Case | None = None,
        **settings: Any,
    ) -> Study:
        """Change a study; what is left out stays as it is.

        Another protocol or case is that of participants who join from then on; others go on with theirs.

        Parameters
        ----------
        by : str
            The id of the organiser's link.
        title, status, protocol, case
        **settings
            Fields of `StudySettings`.

        Raises
        ------
        NotFoundError
            There is no such study.
        UsageError
            A setting cannot be that.
        """
        if status is not None and status not in get_args(Status):
            raise UsageError(f"A study cannot be {status!r}.", fix=f"It is {', '.join(get_args(Status))}.")
        with study_transaction(self._database, study_id, self._clock()) as study:
            now = load_study(study.connection, study_id)
            chosen = _settings(
                **{**{name: getattr(now.settings, name) for name in type(now.settings).model_fields}, **settings}
            )
            used = (protocol or now.protocol, case or now.case)
            _check_languages(*used, chosen)
            values = {
                "title": now.title if title is None else clean_line(title, most=200, what="The title"),
                "status": status or now.status,
                "protocol_digest": keep_content(study.connection, used[0]),
                "case_digest": keep_content(study.connection, used[1]),
                "settings": chosen.model_dump_json(),
            }
            study.connection.execute(update(tables.studies).where(tables.studies.c.id == study_id).values(**values))
            if (protocol or case) is not None:
                _add_starting_cards(study, *used)
            changed = sorted(
                name
                for name, given in {"title": title, "status": status, "protocol": protocol, "case": case}.items()
                if given is not None
            )
            written = {name: value for name, value in chosen.model_dump(mode="json").items() if name in settings}
            study.log(by, "changed", None, {"changed": changed, "status": values["status"], "settings": written})
            study.changed()
        return self.get(study_id)

    def counts(self, study_id: str) -> LiveCounts:
        """How many have joined, where they stand, and what came of it.

        Raises
        ------
        NotFoundError
            There is no such study.
        """
        with self._database.read() as connection:
            load_study(connection, study_id)
            return live_counts(connection, study_id)


def load_study(connection: Connection, study_id: str) -> Study:
    """A study.

    Raises
    ------
    NotFoundError
        There is none of this id.
    """
    row = connection.execute(select(tables.studies).where(tables.studies.c.id == study_id)).one_or_none()
    if row is None:
        raise NotFoundError(f"There is no study {study_id!r}.", fix="Check its address.")
    return _study(connection, row)


def _study(connection: Connection, row: Row[Any]) -> Study:
    return Study(
        id=row.id,
        title=row.title,
        status=row.status,
        created_at=row.created_at,
        protocol=load_protocol(connection, row.protocol_digest),
        case=load_case(connection, row.case_digest),
        settings=StudySettings.model_validate_json(row.settings),
        version=row.version,
    )


def _settings(**given: Any) -> StudySettings:
    try:
        return StudySettings(**given)
    except ValidationError as error:
        entry = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(str(part) for part in entry["loc"])
        raise UsageError(f"{name or 'A setting'} cannot be that: {entry['msg']}.", fix="See StudySettings.") from None


def _check_languages(protocol: Protocol, case: Case, settings: StudySettings) -> None:
    shared = [language for language in protocol.languages if language in case.languages]
    if not shared:
        raise UsageError("The protocol and the case share no language.", fix="Translate one of them.")
    for question in settings.demographics:
        for text in (question.text, *(option.text for option in question.options)):
            missing = [language for language in shared if language not in text]
            if missing:
                raise UsageError(
                    f"The demographic question {question.id!r} is not there in {missing[0]!r}.",
                    fix=f"Write it in {', '.join(shared)}.",
                )


def _add_starting_cards(study: StudyTransaction, protocol: Protocol, case: Case) -> None:
    """Add those cards of a case that are not there yet, each merged with its first translation."""
    card = tables.cards.c
    shared = [language for language in protocol.languages if language in case.languages]
    first: list[str] = []
    added: dict[str, str] = {}
    for language in shared:
        names: list[str] = []
        for start in case.starting_cards(language):
            name = study.connection.scalar(
                select(card.id).where(
                    card.study_id == study.study_id, card.content_id == start.id, card.language == language
                )
            )
            if name is None:
                name, digest = add_card(study, CardText.of(start), language, content_id=start.id)
                added[name] = digest
                if first:
                    add_merge(study, "card", name, first[len(names)], _SERVICE)
            names.append(name)
        first = first or names
    if added:
        study.log(_SERVICE, "cards added", None, {"cards": added})
    _merge_contexts(study, case, shared)


def _merge_contexts(study: StudyTransaction, case: Case, languages: Sequence[str]) -> None:
    merge = tables.merges.c
    known = set(
        study.connection.scalars(select(merge.source).where(merge.study_id == study.study_id, merge.kind == "context"))
    )
    for context in case.contexts:
        spoken = context.text[languages[0]]
        for language in languages[1:]:
            if context.text[language] not in {spoken, *known}:
                known.add(context.text[language])
                add_merge(study, "context", context.text[language], spoken, _SERVICE)
