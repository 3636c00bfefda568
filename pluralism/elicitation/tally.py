"""A tally: who gave which answers, so that counts can be taken again with other weights on people."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int32
from scipy.sparse import csr_array

from pluralism.elicitation.aggregators.aggregator import View
from pluralism.elicitation.ballots import Unit
from pluralism.elicitation.counted_graph import CountedGraph, edge_key
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.vote_log import ANSWERS
from pluralism.errors import UsageError

__all__ = ["Tally", "tally_graph"]


@dataclass(frozen=True, eq=False)
class Tally:
    """Counts of a graph, and the people behind them.

    Attributes
    ----------
    graph : CountedGraph
        With the observed counts.
    answers : sparse array of shape (participants, cells), or None
        How many answers of each kind each person gave on each edge (and group); None where nobody knows.
    shape : tuple of int
        (edges, 3), or (edges, groups, 3).
    participants : tuple of str
    """

    graph: CountedGraph
    answers: csr_array | None
    shape: tuple[int, ...]
    participants: tuple[str, ...]

    @property
    def n_participants(self) -> int:
        """People who answered, or may have."""
        return len(self.participants)

    @cached_property
    def observed(self) -> np.ndarray:
        """The counts, shape (1, edges, 3) or (1, edges, groups, 3), each person counting once."""
        if self.answers is None:
            return self.graph.counts[None].astype(np.float64)
        return self.counts(np.ones((1, self.n_participants)))

    def counts(self, weights: Float[np.ndarray, "draws participants"]) -> np.ndarray:
        """Counts in which each person counts with a weight.

        Raises
        ------
        UsageError
            If nobody knows who gave which answer.
        """
        answers = self.known_answers()
        return (answers.T @ weights.T).T.reshape(len(weights), *self.shape)

    def known_answers(self) -> csr_array:
        """The answers of each person; a `UsageError` if nobody knows them."""
        if self.answers is None:
            raise UsageError(
                "These are counts without the votes behind them, so that people cannot be drawn again.",
                fix="Use a MoralGraph of votes, or n_bootstrap=0.",
            )
        return self.answers


def tally_graph(
    graph: MoralGraph | CountedGraph,
    *,
    view: View = "pooled",
    unit: Unit = "context",
    chosen: tuple[str, ...] | None = None,
    by_group: bool = False,
) -> Tally:
    """Tally a graph.

    Parameters
    ----------
    view : {"pooled", "contexts"}
        Whether the counts of all contexts are added up.
    unit : {"context", "pair"}
        What a person has one ballot for.
    chosen : tuple of str, optional
        Contexts that count; all of them by default.
    by_group : bool
        Whether answers are counted by the group of the person; those without a group are left out.

    Raises
    ------
    UsageError
        If groups are asked for and fewer than two are known.
    """
    if isinstance(graph, CountedGraph):
        if by_group:
            raise UsageError("Counts know no groups.", fix="Use a MoralGraph of votes with groups.")
        counted = graph if chosen is None else graph.of_contexts(chosen)
        counted = counted.pooled() if view == "pooled" else counted
        return Tally(counted, None, counted.counts.shape, ())
    ballots = graph.ballots(unit=unit)
    if chosen is not None:
        ballots = ballots.take(np.isin(ballots.context, [graph.contexts.index(name) for name in chosen]))
    group, n_groups = _groups(graph) if by_group else (np.zeros(ballots.n_participants, dtype=np.int32), 1)
    ballots = ballots.take(group[ballots.participant] >= 0)
    counted = CountedGraph.of_ballots(ballots, graph.values, graph.contexts)
    n = counted.n_values
    keys = edge_key(counted.source, counted.wiser, counted.context, n)
    edge = np.searchsorted(keys, edge_key(ballots.source, ballots.wiser, ballots.context, n))
    if view == "pooled":
        edge = counted.pooling[edge]
        counted = counted.pooled()
    cell = (edge * n_groups + group[ballots.participant]) * len(ANSWERS) + ballots.answer
    cells = counted.n_edges * n_groups * len(ANSWERS)
    ones = np.ones(len(ballots))
    answers = csr_array((ones, (ballots.participant, cell)), shape=(ballots.n_participants, cells))
    shape = (counted.n_edges, n_groups, len(ANSWERS)) if by_group else (counted.n_edges, len(ANSWERS))
    return Tally(counted, answers, shape, tuple(ballots.participants.to_pylist()))


def _groups(graph: MoralGraph) -> tuple[Int32[np.ndarray, " participants"], int]:
    codes, names = graph.group_codes()
    if len(names) < 2:
        raise UsageError(
            f"The participants are in {len(names)} groups, and two are needed.",
            fix="Name them with graph.with_groups({participant: group, ...}).",
        )
    return codes, len(names)
