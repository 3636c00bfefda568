"""Cards of other participants from the database: what an interview of a study compares with and asks about."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection, func, or_, select

from pluralism.elicitation.hypothesis import UpgradeHypothesis
from pluralism.elicitation.interview.interviewers.interviewer import Candidate
from pluralism.elicitation.interview.pool import Pair, StaticPool
from pluralism.elicitation.values_card import ValuesCard
from pluralism.elicitation.web import tables
from pluralism.elicitation.web.database import Database
from pluralism.embeddings import Encoder
from pluralism.errors import UsageError
from pluralism.random import as_generator

__all__ = ["DatabasePool"]

CARDS_PER_BALLOT = 24
"""Cards among which the pairs of a ballot are drawn: those that were voted on the least."""


class DatabasePool:
    """The cards of a study in the language of one participant, without those that are deleted, or of others and hidden.

    Ballots go where votes are missing. Up to half of the pairs are hypotheses of the context, those of the organisers
    before those that others were asked about, each by the fewest votes: without that, everybody would be asked about
    pairs of their own and none would be judged twice. The rest are new pairs of the participant's card and of the
    cards that were voted on the least.

    Parameters
    ----------
    database : Database
    study_id, participant_id, language : str
    encoder : Encoder, optional
        As for `pluralism.elicitation.interview.StaticPool`.
    """

    def __init__(
        self,
        database: Database,
        study_id: str,
        participant_id: str,
        language: str,
        *,
        encoder: Encoder | None = None,
    ) -> None:
        self.database, self.study_id, self.language = database, study_id, language
        self.participant_id, self.encoder = participant_id, encoder
        self._own: str | None = None
        self._cards: dict[str, ValuesCard] = {}

    @property
    def cards(self) -> Mapping[str, ValuesCard]:
        """Cards by id, as they are now."""
        card = tables.cards.c
        with self.database.read() as connection:
            rows = connection.execute(
                select(card.id, card.document, card.context, card.participant_id)
                .where(
                    card.study_id == self.study_id,
                    card.language == self.language,
                    card.document.is_not(None),
                    or_(card.hidden.is_(False), card.participant_id == self.participant_id),
                )
                .order_by(card.position)
            ).all()
        self._own = next((row.id for row in rows if row.participant_id == self.participant_id), None)
        self._cards = {row.id: card_of(row.document, row.context) for row in rows}
        return self._cards

    def near(self, card: ValuesCard, most: int) -> Sequence[Candidate]:
        """Cards of others that may be the same, the nearest first."""
        others = {name: other for name, other in self.cards.items() if name != self._own}
        return StaticPool(others, encoder=self.encoder).near(card, most)

    def draw(self, card: ValuesCard, context: str, n: int, seed: int) -> Sequence[Pair]:
        """Pairs to ask about, among the cards that `cards` gave last.

        Raises
        ------
        UsageError
            The participant's card was not among them.
        """
        own, cards = self._own, self._cards
        if own is None:
            raise UsageError("The participant has no confirmed card.", fix="Draw a ballot after the card is confirmed.")
        with self.database.read() as connection:
            asked = self._sparsest_hypotheses(connection, context, cards, -(-n // 2))
            votes = self._votes_by_card(connection, context)
        shuffled = [list(cards)[i] for i in as_generator(seed, "cards of the ballot").permutation(len(cards))]
        others = [name for name in shuffled if name != own]
        # Cards of the context come first; among these and among the others, those with the fewest votes.
        others.sort(key=lambda name: (cards[name].context != context, votes.get(name, 0)))
        wanted = {own, *others[:CARDS_PER_BALLOT], *(name for one in asked for name in (one.source, one.wiser))}
        # A static pool knows somebody's own card by the id of its content.
        ids = {name: card.id if name == own else name for name in wanted}
        back = {id_there: name for name, id_there in ids.items()}
        pool = StaticPool(
            {ids[name]: cards[name] for name in cards if name in wanted},
            [replace(one, source=ids[one.source], wiser=ids[one.wiser]) for one in asked],
        )
        pairs = pool.draw(card, context, n, seed)
        return [replace(pair, source=back[pair.source], wiser=back[pair.wiser]) for pair in pairs]

    def _sparsest_hypotheses(
        self, connection: Connection, context: str, cards: Mapping[str, ValuesCard], most: int
    ) -> list[UpgradeHypothesis]:
        known, vote = tables.hypotheses.c, tables.votes.c
        n_votes = func.count(vote.number)
        rows = connection.execute(
            select(known.source_id, known.wiser_id, known.context, known.story, known.model)
            .outerjoin_from(tables.hypotheses, tables.votes, vote.hypothesis_id == known.id)
            .where(
                known.study_id == self.study_id,
                known.context == context,
                known.active.is_(True),
                known.story.is_not(None),
            )
            .group_by(known.id)
            .order_by(known.from_ballot, n_votes, known.position)
        )
        found: dict[frozenset[str], UpgradeHypothesis] = {}
        for row in rows:
            if len(found) < most and {row.source_id, row.wiser_id} <= cards.keys():
                found.setdefault(frozenset(row[:2]), UpgradeHypothesis(*row))
        return list(found.values())

    def _votes_by_card(self, connection: Connection, context: str) -> dict[str, int]:
        vote, counts = tables.votes.c, dict[str, int]()
        for column in (vote.source_id, vote.wiser_id):
            mine = (vote.study_id == self.study_id, vote.context == context)
            for name, n in connection.execute(select(column, func.count()).where(*mine).group_by(column)):
                counts[name] = counts.get(name, 0) + n
        return counts


def card_of(document: str, context: str | None) -> ValuesCard:
    """The card of a row."""
    return ValuesCard.from_dict({**json.loads(document), "context": context})
