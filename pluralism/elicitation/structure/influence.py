"""How much the ranking depends on single people: the largest change of a rank when one of them is left out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from pluralism.elicitation.aggregators.aggregate import aggregate
from pluralism.elicitation.aggregators.aggregator import Aggregator
from pluralism.elicitation.aggregators.catalogue import find_aggregator
from pluralism.elicitation.aggregators.ranking import ranks_within
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.tally import tally_graph

__all__ = ["Influence", "participant_influence"]

BLOCK_CELLS = 1 << 24
_SHOWN = 5


@dataclass(frozen=True, eq=False, repr=False)
class Influence:
    """What leaving one participant out would change.

    Attributes
    ----------
    rule : str
    participants : tuple of str
    rank_change : int array of shape (participants,)
        Largest change of the rank of a value within its component; a value that is no longer ranked, or newly, counts
        as ranked last.
    top_changes : bool array of shape (participants,)
        Whether the wisest value of the largest component (or the set of those tied) becomes another.
    ballots : int array of shape (participants,)
    """

    rule: str
    participants: tuple[str, ...]
    rank_change: Int[np.ndarray, " participants"]
    top_changes: np.ndarray
    ballots: Int[np.ndarray, " participants"]

    def to_frame(self) -> pa.Table:
        """Columns `participant, rank_change, top_changes, ballots`, the most influential first."""
        order = np.lexsort((-self.ballots, ~self.top_changes, -self.rank_change))
        table = pa.table(
            {
                "participant": pa.array(self.participants, pa.large_string()),
                "rank_change": self.rank_change,
                "top_changes": self.top_changes,
                "ballots": self.ballots,
            }
        )
        return table.take(pa.array(order))

    def to_dict(self) -> dict[str, Any]:
        """The rule and the rows of `to_frame`."""
        return {"rule": self.rule, "participants": self.to_frame().to_pylist()}

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        n = len(self.participants)
        moved, top = int((self.rank_change > 0).sum()), int(self.top_changes.sum())
        rows = self.to_frame().slice(0, _SHOWN).to_pylist()
        most = ", ".join(f"{row['participant']} {row['rank_change']}" for row in rows)
        return f"Influence({self.rule}: {moved:,} of {n:,} people move a rank, {top:,} the first; most: {most})"


def participant_influence(
    graph: MoralGraph,
    rule: str | Aggregator = "bradley-terry",
    *,
    context: str | None = None,
    **options: Any,
) -> Influence:
    """Leave each participant out in turn.

    People with the same answers are left out once. Hyperparameters that a rule chooses from the data (a ridge) stay as
    they are with everybody.

    Parameters
    ----------
    rule, context, **options
        As in `aggregate`.
    """
    found = find_aggregator(rule)
    chosen = graph.chosen_contexts(context=context)
    tally = tally_graph(
        graph,
        view=found.view,
        unit=found.unit,
        chosen=None if found.borrows else chosen,
        by_group=found.needs_groups,
    )
    whole = aggregate(graph, found, context=context, n_bootstrap=0, **options)
    if found.borrows and chosen is not None:
        options = {**options, "chosen": tuple(tally.graph.contexts.index(name) for name in chosen)}
    answers = tally.known_answers()
    alike, first = _alike(answers)
    total = np.asarray(answers.sum(axis=0)).reshape(-1)
    size = max(1, BLOCK_CELLS // max(int(np.prod(tally.shape)), tally.graph.n_values**2, 1))
    scores = []
    for start in range(0, len(first), size):
        without = total[None] - answers[first[start : start + size]].toarray()
        counts = without.reshape(len(without), *tally.shape)
        scores.append(found(tally.graph, counts, _silent, **options).scores)
    drawn = np.concatenate([whole.scores[None], *scores])
    ranks = _filled(ranks_within(drawn, whole.component), drawn, whole.component)
    change = np.abs(ranks[1:] - ranks[0]).max(axis=1, initial=0.0)
    main = whole.component == 0
    top = (ranks[1:, main] == 1) != (ranks[0, main] == 1)[None]
    return Influence(
        found.name,
        tally.participants,
        change.astype(np.int64)[alike],
        top.any(axis=1)[alike],
        np.asarray(answers.sum(axis=1)).reshape(-1).astype(np.int64),
    )


def _filled(
    ranks: Float[np.ndarray, "draws values"], scores: Float[np.ndarray, "draws values"], component: np.ndarray
) -> Float[np.ndarray, "draws values"]:
    """Ranks in which values that are not ranked are last in their component, all together."""
    out = ranks.copy()
    for label in np.unique(component):
        members = component == label
        missing = np.isnan(scores[:, members])
        last = members.sum() - missing.sum(axis=1, keepdims=True) + 1.0
        out[:, members] = np.where(missing, last, ranks[:, members])
    return out


def _alike(answers: Any) -> tuple[Int[np.ndarray, " participants"], Int[np.ndarray, " kinds"]]:
    """For each participant the kind of those who gave the same answers, and one participant of each kind."""
    answers.sum_duplicates()
    kinds: dict[bytes, int] = {}
    kind = np.empty(answers.shape[0], dtype=np.int64)
    first: list[int] = []
    for row, (start, stop) in enumerate(zip(answers.indptr[:-1], answers.indptr[1:], strict=True)):
        key = answers.indices[start:stop].tobytes() + answers.data[start:stop].tobytes()
        if key not in kinds:
            kinds[key] = len(first)
            first.append(row)
        kind[row] = kinds[key]
    return kind, np.array(first, dtype=np.int64)


def _silent(name: str, value: Any, per: str = "") -> None:
    """Note nothing."""
