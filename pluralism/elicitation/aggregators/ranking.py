"""A ranking of values: scores and ranks by one rule, what it rests on, and what it cannot say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from pluralism.calibration.text import json_ready
from pluralism.printable import printable

if TYPE_CHECKING:
    from pluralism.elicitation.uncertainty.bootstrap import RankingUncertainty

__all__ = ["GraphRanking", "ranks_of", "ranks_within", "titles_of"]

_SHOWN = 10
TIE = 1e-9


@dataclass(frozen=True, eq=False, repr=False)
class GraphRanking:
    """Values by how wise people call them.

    Attributes
    ----------
    rule : str
    context : str or None
        The context, or case, that it is of; None for all pooled.
    ids, titles : tuple of str
    scores : array of shape (values,)
        Higher is wiser; NaN for values that the rule does not rank.
    component : int array of shape (values,)
        Values of different components are joined by no chain of answers: their order is a convention. Components are
        numbered by size; -1 for values on which there is no answer.
    votes : int array of shape (values,)
        Answers on pairs with the value.
    edges : pyarrow.Table
        The pairs that the rule saw, with their counts, and `kept` where the rule leaves some out.
    details : mapping of str to plain values
        What else the rule found, such as the share of the flow that is cyclic.
    notes : tuple of str
        What a reader must know.
    uncertainty : RankingUncertainty or None
    """

    rule: str
    context: str | None
    ids: tuple[str, ...]
    titles: tuple[str, ...]
    scores: Float[np.ndarray, " values"]
    component: Int[np.ndarray, " values"]
    votes: Int[np.ndarray, " values"]
    edges: pa.Table
    details: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    uncertainty: RankingUncertainty | None = None

    @property
    def ranks(self) -> Float[np.ndarray, " values"]:
        """Rank within the component, 1 for the wisest; tied values share the better rank; NaN where not ranked."""
        return ranks_within(self.scores[None], self.component)[0]

    @property
    def order(self) -> tuple[str, ...]:
        """Ids of the ranked values by component, in it wisest first; tied ones in the order of the ids."""
        return tuple(self.ids[i] for i in self._order if not np.isnan(self.scores[i]))

    @property
    def _order(self) -> Int[np.ndarray, " values"]:
        unranked = np.isnan(self.scores)
        return np.lexsort((np.where(unranked, np.inf, -self.scores), self.component, unranked))

    @property
    def n_components(self) -> int:
        """Parts of the graph that no answer joins."""
        return int(self.component.max(initial=-1)) + 1

    @property
    def unranked(self) -> tuple[str, ...]:
        """Ids of values for which there is not enough evidence to rank them at all."""
        return tuple(name for name, score in zip(self.ids, self.scores, strict=True) if np.isnan(score))

    @property
    def answer(self) -> str:
        """What may be said of the wisest value, in one sentence."""
        if self.uncertainty is not None:
            return self.uncertainty.answer
        if not self.order:
            return "Insufficient evidence: no value can be ranked."
        return "How sure the order is has not been computed: pass n_bootstrap=1000, say."

    def score_of(self, value: str) -> float:
        """Score of a value by id."""
        return float(self.scores[self.ids.index(value)])

    def rank_of(self, value: str) -> float:
        """Rank of a value by id."""
        return float(self.ranks[self.ids.index(value)])

    def to_frame(self) -> pa.Table:
        """One row a value, by component, in it wisest first.

        Columns `id, title, score, rank, component, votes`, and what the bootstrap says.
        """
        ranked = ~np.isnan(self.scores)
        columns: dict[str, Any] = {
            "id": list(self.ids),
            "title": list(self.titles),
            "score": pa.array(self.scores, mask=~ranked),
            "rank": pa.array(np.where(ranked, self.ranks, 0).astype(np.int64), mask=~ranked),
            "component": pa.array(self.component, mask=self.component < 0),
            "votes": self.votes,
        }
        if self.uncertainty is not None:
            columns |= self.uncertainty.columns()
        return pa.table(columns).take(pa.array(self._order))

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain types."""
        return {
            "rule": self.rule,
            "context": self.context,
            "answer": self.answer,
            "values": self.to_frame().to_pylist(),
            "components": self.n_components,
            "edges": self.edges.to_pylist(),
            "details": json_ready(dict(self.details)),
            "notes": list(self.notes),
            "uncertainty": None if self.uncertainty is None else self.uncertainty.to_dict(),
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(json_ready(self.to_dict()), ensure_ascii=False, allow_nan=False, indent=indent)

    def __repr__(self) -> str:
        where = "all contexts" if self.context is None else repr(self.context)
        n = len(self.order)
        lines = [f"GraphRanking({self.rule}, {where}: {n:,} of {len(self.ids):,} values ranked)", f"  {self.answer}"]
        for row in self.to_frame().slice(0, min(n, _SHOWN)).to_pylist():
            sure = ""
            if self.uncertainty is not None:
                sure = f"  ranks {row['rank_low']:g} to {row['rank_high']:g}, P(top) {row['p_top']:.2f}"
            part = f"  part {row['component'] + 1}" if self.n_components > 1 else ""
            lines.append(f"  {row['rank']:>3}  {row['score']:>9.4g}  {_line(row['title'])}{sure}{part}")
        lines += ["  ..."] if n > _SHOWN else []
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])


def ranks_of(scores: Float[np.ndarray, "draws values"]) -> Float[np.ndarray, "draws values"]:
    """Rank of each value in each draw, 1 for the highest score; tied values share the better rank, NaN has none.

    Scores that differ by less than a billionth of the largest are tied.
    """
    filled = np.where(np.isnan(scores), -np.inf, scores)
    order = np.argsort(-filled, axis=1, kind="stable")
    ordered = np.take_along_axis(filled, order, axis=1)
    scale = np.max(np.abs(np.nan_to_num(scores)), axis=1, initial=0.0, keepdims=True)
    with np.errstate(invalid="ignore"):
        falls = ordered[:, :-1] - ordered[:, 1:] > TIE * scale
    place = np.arange(1, scores.shape[1] + 1)
    first = np.concatenate([np.ones((len(scores), 1), dtype=bool), falls], axis=1)
    shared = np.maximum.accumulate(np.where(first, place, 0), axis=1)
    ranks = np.empty(scores.shape)
    np.put_along_axis(ranks, order, shared.astype(np.float64), axis=1)
    return np.where(np.isnan(scores), np.nan, ranks)


def ranks_within(
    scores: Float[np.ndarray, "draws values"], component: Int[np.ndarray, " values"]
) -> Float[np.ndarray, "draws values"]:
    """As `ranks_of`, among the values of each component by themselves; those of none (-1) have no rank."""
    ranks = np.full(scores.shape, np.nan)
    for label in range(int(component.max(initial=-1)) + 1):
        members = component == label
        ranks[:, members] = ranks_of(scores[:, members])
    return ranks


def titles_of(ids: Sequence[str], names: Mapping[str, str]) -> str:
    """Titles of some values, on one line."""
    return ", ".join(_line(names[name]) for name in ids)


def _line(text: str) -> str:
    return " ".join(printable(text).split())
