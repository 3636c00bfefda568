"""The moral graph: values, contexts, and directed edges "this is wiser than that, then", all folded from votes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int32

from pluralism.data.arrays import Column
from pluralism.data.labels import label_codes, string_column
from pluralism.elicitation.ballots import Ballots, Contradiction, Unit, fold_ballots
from pluralism.elicitation.counted_graph import CountedGraph
from pluralism.elicitation.hypothesis import UpgradeHypothesis
from pluralism.elicitation.merges import MergeLog
from pluralism.elicitation.values_card import ValuesCard
from pluralism.elicitation.vote_log import VoteLog, check_known
from pluralism.errors import DataError, UsageError

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["MoralGraph", "Tombstone"]


@dataclass(frozen=True)
class Tombstone:
    """That somebody's votes were deleted: how many and when, and nothing about whose they were."""

    n_votes: int
    time: str = ""


@dataclass(frozen=True, eq=False, repr=False)
class MoralGraph:
    """Values, and who judged which wiser in which context.

    The graph is a function of what was added to it: cards, votes and merges are never changed, and every view is
    computed from them. Methods return a new graph.

    Parameters
    ----------
    cards : mapping of str to ValuesCard
        By id. All of them, also those merged into others.
    votes : VoteLog
        On ids of `cards`; they keep the ids that people saw.
    card_merges, context_merges : MergeLog
        Which cards, or contexts, are the same as others.
    cases : mapping of str to tuple of str
        The contexts that belong to each case; a context may belong to several.
    hypotheses : tuple of UpgradeHypothesis
        What people were asked, or may be asked.
    groups : mapping of str to str
        A known group of participants, for bridging rules and for comparisons of groups.
    tombstones : tuple of Tombstone
    contradiction : {"latest", "majority", "abstain"}
        What counts where merges bring differing ballots of one person together (`pluralism.elicitation.ballots`).

    Raises
    ------
    DataError
        If votes, merges, cases or hypotheses name what is not there.

    References
    ----------
    O. Klingefjord, R. Lowe, J. Edelman, What are human values, and how do we align AI to them? arXiv 2404.10636, 2024.

    Examples
    --------
    >>> cards = {name: ValuesCard(name, "", [f"MOMENTS of {name}"]) for name in ("candour", "tact", "care")}
    >>> graph = MoralGraph(cards).with_votes([
    ...     {"participant": "ann", "source": "candour", "wiser": "tact", "answer": "upgrade"},
    ...     {"participant": "bob", "source": "candour", "wiser": "tact", "answer": "upgrade"},
    ...     {"participant": "bob", "source": "tact", "wiser": "care", "answer": "no_upgrade"},
    ... ])
    >>> graph
    MoralGraph(3 values, 3 votes by 2 participants on 2 pairs)
    >>> graph.counted().counts.tolist()
    [[2, 0, 0], [0, 1, 0]]
    """

    cards: Mapping[str, ValuesCard]
    votes: VoteLog = field(default_factory=VoteLog.empty)
    card_merges: MergeLog = field(default_factory=MergeLog)
    context_merges: MergeLog = field(default_factory=MergeLog)
    cases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    hypotheses: tuple[UpgradeHypothesis, ...] = ()
    groups: Mapping[str, str] = field(default_factory=dict)
    tombstones: tuple[Tombstone, ...] = ()
    contradiction: Contradiction = "latest"

    def __post_init__(self) -> None:
        check_known(self.votes, self.cards)
        for hypothesis in self.hypotheses:
            for name in (hypothesis.source, hypothesis.wiser):
                if name not in self.cards:
                    raise DataError(f"A hypothesis names {name!r}, which has no card.", fix="Add the card first.")
        cases = {str(case): tuple(contexts) for case, contexts in self.cases.items()}
        self.__dict__.update(cards=dict(self.cards), cases=cases, groups=dict(self.groups))
        _ = self._card_place, self._context_place

    @classmethod
    def of_cards(cls, cards: Iterable[ValuesCard]) -> MoralGraph:
        """A graph of cards under the ids of their content."""
        return cls({card.id: card for card in cards})

    @classmethod
    def read(cls, path: str | Path) -> MoralGraph:
        """A graph that `write` wrote; see `pluralism.elicitation.exports`."""
        from pluralism.elicitation.exports.graph_files import read_graph

        return read_graph(path)

    def write(self, path: str | Path) -> None:
        """Write the whole graph, history included, as .json or .parquet."""
        from pluralism.elicitation.exports.graph_files import write_graph

        write_graph(self, path)

    def to_dict(self) -> dict[str, Any]:
        """The whole graph as plain types, history included."""
        from pluralism.elicitation.exports.whole_graph import graph_to_dict

        return graph_to_dict(self)

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def to_frame(self) -> pa.Table:
        """The counts of every pair in every context; the votes themselves are `votes.to_frame()`."""
        return self.counted().to_frame()

    # What is added.

    def with_cards(self, cards: Iterable[ValuesCard] | Mapping[str, ValuesCard]) -> MoralGraph:
        """The graph with more cards, under the ids of their content or of the mapping.

        Raises
        ------
        DataError
            If an id is taken by another card: cards that people saw are never changed.
        """
        added = dict(cards) if isinstance(cards, Mapping) else {card.id: card for card in cards}
        for name, card in added.items():
            if self.cards.get(name, card) != card:
                raise DataError(f"The id {name!r} is taken by another card.", fix="Add it under an id of its own.")
        return replace(self, cards={**self.cards, **added})

    def with_votes(self, votes: VoteLog | Any) -> MoralGraph:
        """The graph with more votes: a `VoteLog`, or anything that `VoteLog.from_frame` takes."""
        added = votes if isinstance(votes, VoteLog) else VoteLog.from_frame(votes)
        return replace(self, votes=self.votes.append(added))

    def with_hypotheses(self, hypotheses: Iterable[UpgradeHypothesis]) -> MoralGraph:
        """The graph with more hypotheses."""
        return replace(self, hypotheses=(*self.hypotheses, *hypotheses))

    def with_groups(self, groups: Mapping[str, str]) -> MoralGraph:
        """The graph in which these participants have these groups."""
        return replace(self, groups={**self.groups, **groups})

    def merge_cards(self, source: str, into: str, *, by: str = "", time: str = "") -> MoralGraph:
        """The graph in which `source` counts as `into`, until that is undone."""
        self._known(source, into)
        return replace(self, card_merges=self.card_merges.merge(source, into, by=by, time=time))

    def undo_card_merge(self, number: int, *, by: str = "", time: str = "") -> MoralGraph:
        """The graph in which a merge of cards no longer holds; votes are as if it had never been."""
        return replace(self, card_merges=self.card_merges.undo(number, by=by, time=time))

    def merge_contexts(self, source: str, into: str, *, by: str = "", time: str = "") -> MoralGraph:
        """The graph in which one context counts as another, until that is undone."""
        return replace(self, context_merges=self.context_merges.merge(source, into, by=by, time=time))

    def undo_context_merge(self, number: int, *, by: str = "", time: str = "") -> MoralGraph:
        """The graph in which a merge of contexts no longer holds."""
        return replace(self, context_merges=self.context_merges.undo(number, by=by, time=time))

    def forget(self, participant: str, *, time: str = "") -> MoralGraph:
        """The graph without a participant's votes and name; a tombstone says that somebody was deleted.

        Raises
        ------
        UsageError
            If there is no vote of that participant.
        """
        erased = self.votes.erase(participant)
        n = int(self.votes.kept.sum() - erased.kept.sum())
        groups = {name: group for name, group in self.groups.items() if name != participant}
        return replace(self, votes=erased, groups=groups, tombstones=(*self.tombstones, Tombstone(n, time)))

    # What follows.

    @cached_property
    def all_contexts(self) -> tuple[str, ...]:
        """Contexts of cases, hypotheses and votes, also those merged into others."""
        named = [context for contexts in self.cases.values() for context in contexts]
        named += [hypothesis.context for hypothesis in self.hypotheses]
        return tuple(dict.fromkeys([*named, *self.votes.contexts]))

    @cached_property
    def _card_place(self) -> Int32[np.ndarray, " cards"]:
        return compact(self.card_merges.representatives(tuple(self.cards)))

    @cached_property
    def _context_place(self) -> Int32[np.ndarray, " contexts"]:
        return compact(self.context_merges.representatives(self.all_contexts))

    @cached_property
    def values(self) -> dict[str, ValuesCard]:
        """The cards that stand for themselves or for others, by id; these are the nodes."""
        speaks = self.card_merges.representatives(tuple(self.cards))
        return {name: card for i, (name, card) in enumerate(self.cards.items()) if speaks[i] == i}

    @cached_property
    def contexts(self) -> tuple[str, ...]:
        """The contexts that stand for themselves or for others."""
        speaks = self.context_merges.representatives(self.all_contexts)
        return tuple(name for i, name in enumerate(self.all_contexts) if speaks[i] == i)

    @property
    def participants(self) -> pa.LargeStringArray:
        """Those who voted, in order of their first vote."""
        return self.votes.participants

    def value_of(self, card: str) -> str:
        """The id of the value that a card stands for, or is merged into."""
        self._known(card)
        return tuple(self.values)[self._card_place[tuple(self.cards).index(card)]]

    @cached_property
    def _folded(self) -> dict[Unit, Ballots]:
        return {}

    def ballots(self, *, unit: Unit = "context") -> Ballots:
        """Each person's last word on every pair and context (or, with unit="pair", on every pair)."""
        if unit not in self._folded:
            self._folded[unit] = fold_ballots(
                self.votes,
                self._card_place,
                {name: i for i, name in enumerate(self.cards)},
                self._context_place,
                {name: i for i, name in enumerate(self.all_contexts)},
                contradiction=self.contradiction,
                unit=unit,
            )
        return self._folded[unit]

    def counted(self, *, context: str | None = None, case: str | None = None, unit: Unit = "context") -> CountedGraph:
        """Counts of answers by pair and context: of all contexts, of one, or of those of a case."""
        counted = CountedGraph.of_ballots(self.ballots(unit=unit), self.values, self.contexts)
        chosen = self.chosen_contexts(context=context, case=case)
        return counted if chosen is None else counted.of_contexts(chosen)

    def chosen_contexts(self, *, context: str | None = None, case: str | None = None) -> tuple[str, ...] | None:
        """The contexts that a view is of; None for all.

        Raises
        ------
        UsageError
            If both are given, or the name is unknown.
        """
        if context is not None and case is not None:
            raise UsageError("A view is of a context or of a case, not of both.", fix="Give one of the two.")
        if case is not None:
            if case not in self.cases:
                raise UsageError(f"There is no case {case!r}.", fix=f"Cases: {', '.join(self.cases) or 'none'}.")
            places = [self._context_place[self.all_contexts.index(name)] for name in self.cases[case]]
            return tuple(dict.fromkeys(self.contexts[place] for place in places))
        if context is None:
            return None
        if context not in self.all_contexts:
            raise UsageError(
                f"There is no context {context!r}.",
                fix=f"Contexts are {', '.join(map(repr, self.contexts[:8]))}{', ...' * (len(self.contexts) > 8)}.",
            )
        return (self.contexts[self._context_place[self.all_contexts.index(context)]],)

    def of_participants(self, participants: Column) -> MoralGraph:
        """The graph of the votes of some participants; cards, merges and hypotheses stay."""
        wanted = string_column(participants, "participants")
        mine = pc.is_in(self.votes.table["participant"], value_set=wanted)
        return replace(self, votes=VoteLog(self.votes.table.filter(mine)))

    def of_group(self, group: str) -> MoralGraph:
        """The graph of the votes of one group.

        Raises
        ------
        UsageError
            If nobody is in that group.
        """
        members = [name for name, known in self.groups.items() if known == group]
        if not members:
            known = sorted(set(self.groups.values()))
            raise UsageError(f"Nobody is in group {group!r}.", fix=f"Groups are {', '.join(known) or 'not given'}.")
        return self.of_participants(members)

    def until(self, time: str | np.datetime64) -> MoralGraph:
        """The graph of the votes before a moment (ISO 8601, UTC); votes without a time are left out."""
        moment = np.datetime64(time, "us") if isinstance(time, str) else time
        return replace(self, votes=VoteLog(self.votes.table.filter(pa.array(self.votes.time < moment))))

    def group_codes(self) -> tuple[Int32[np.ndarray, " participants"], tuple[str, ...]]:
        """Code of the group of each participant, -1 where unknown, and the names of the groups."""
        people = self.participants.to_pylist()
        names = tuple(sorted({self.groups[name] for name in people if name in self.groups}))
        known = pa.array([self.groups.get(name) for name in people], pa.large_string())
        return label_codes(known, pa.array(names, pa.large_string())), names

    def votes_on(self, source: str, wiser: str, *, context: str | None = None) -> pa.Table:
        """Every vote behind an edge, also those later replaced, with a column `counts` for those that count.

        Votes on cards that were merged into the two values are among them, under the ids that people saw.
        """
        self._known(source, wiser)
        place = {name: i for i, name in enumerate(self.cards)}
        mine = self.votes.kept.copy()
        for column, value in (("source", source), ("wiser", wiser)):
            codes, labels = self.votes.codes(column)
            found = [self._card_place[place[name]] == self._card_place[place[value]] for name in labels.to_pylist()]
            mine &= np.array([*found, False], dtype=bool)[codes]
        chosen = self.chosen_contexts(context=context)
        if chosen is not None:
            codes, labels = self.votes.codes("context")
            spoken = [self._context_place[self.all_contexts.index(name)] for name in labels.to_pylist()]
            mine &= np.array([*(self.contexts[i] in chosen for i in spoken), False], dtype=bool)[codes]
        rows = np.flatnonzero(mine)
        table = self.votes.take(rows).to_frame()
        return table.append_column("counts", pa.array(np.isin(rows, self.ballots().row)))

    def to_networkx(self, *, context: str | None = None, case: str | None = None) -> nx.MultiDiGraph:
        """A networkx graph: nodes are ids with `title`, `description` and `policies`; one edge a pair and context.

        Edges lead from the value that a story begins with to the one that may be wiser; their key is the context,
        their attributes are the counts `upgrade`, `no_upgrade` and `not_sure`.
        """
        import networkx as nx

        made = nx.MultiDiGraph()
        for name, card in self.values.items():
            made.add_node(name, title=card.title, description=card.description, policies=list(card.policies))
        for row in self.counted(context=context, case=case).to_frame().to_pylist():
            answers = {name: row[name] for name in ("upgrade", "no_upgrade", "not_sure")}
            made.add_edge(row["source"], row["wiser"], key=row["context"], context=row["context"], **answers)
        return made

    def _known(self, *cards: str) -> None:
        for name in cards:
            if name not in self.cards:
                raise UsageError(f"There is no card {name!r}.", fix="Check the id.")

    def __repr__(self) -> str:
        votes = int(self.votes.kept.sum())
        pairs = self.counted().pooled().n_edges
        people, contexts = len(self.participants), len(self.contexts)
        merged = len(self.cards) - len(self.values)
        notes = [
            f"{len(self.values):,} values",
            *([f"{merged:,} cards merged into others"] if merged else []),
            f"{votes:,} votes by {people:,} participants on {pairs:,} pairs",
            *([f"{contexts:,} contexts"] if contexts > 1 else []),
            *([f"{len(self.tombstones):,} deleted"] if self.tombstones else []),
        ]
        return f"MoralGraph({', '.join(notes)})"


def compact(speaks: Int32[np.ndarray, " labels"]) -> Int32[np.ndarray, " labels"]:
    """Positions among all labels as positions among those that speak for themselves."""
    own = speaks == np.arange(len(speaks))
    return (np.cumsum(own) - 1).astype(np.int32)[speaks]
