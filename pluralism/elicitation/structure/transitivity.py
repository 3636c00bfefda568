"""Is wisdom transitive? Where b is wiser than a and c wiser than b, is c called wiser than a more often than elsewhere?

All rankings assume so. The test looks at pairs that were judged and that a two-step way of majorities closes, and
compares the share of upgrade there with the share on pairs that none closes; whole participants are drawn again for the
interval.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool

from pluralism.elicitation.counted_graph import CountedGraph
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.structure.majority import majority_graph
from pluralism.elicitation.tally import tally_graph
from pluralism.evaluation.bootstrap import interval, ratio, resample_users
from pluralism.random import RNG, as_generator

__all__ = ["Transitivity", "transitivity"]


@dataclass(frozen=True)
class Transitivity:
    """What one step of transitivity is worth.

    Attributes
    ----------
    closed_pairs, open_pairs : int
        Pairs judged that a two-step way of majorities closes, and others.
    closed_answers, open_answers : int
        Answers upgrade or no_upgrade on them.
    closed_rate, open_rate : float
        Share of upgrade; NaN without answers.
    difference : float
        The first less the second: above 0 if wisdom is transitive beyond the base rate.
    low, high : float
        Its interval over participants; NaN where participants are not known.
    level : float
    """

    closed_pairs: int
    open_pairs: int
    closed_answers: int
    open_answers: int
    closed_rate: float
    open_rate: float
    difference: float
    low: float
    high: float
    level: float

    @property
    def answer(self) -> str:
        """What may be said, in one sentence."""
        if np.isnan(self.low) or np.isnan(self.difference):
            return "Insufficient evidence on transitivity."
        if self.low > 0:
            return "Pairs that two steps close are called wiser more often than others."
        if self.high < 0:
            return "Pairs that two steps close are called wiser less often than others: rankings are in doubt."
        return "Pairs that two steps close do not differ from others beyond chance."

    def to_frame(self) -> pa.Table:
        """One row with the fields."""
        return pa.table({name: [value] for name, value in asdict(self).items()})

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, and the answer."""
        values = {k: None if isinstance(v, float) and np.isnan(v) else v for k, v in asdict(self).items()}
        return {**values, "answer": self.answer}

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=indent)

    def __repr__(self) -> str:
        return (
            f"Transitivity({self.closed_rate:.2f} on {self.closed_pairs:,} closed pairs, {self.open_rate:.2f} on "
            f"{self.open_pairs:,} others; difference {self.difference:+.2f}, {self.low:+.2f} to {self.high:+.2f})"
        )


def transitivity(
    graph: MoralGraph | CountedGraph,
    *,
    context: str | None = None,
    n_bootstrap: int = 1000,
    level: float = 0.95,
    rng: RNG = 0,
) -> Transitivity:
    """Test one step of transitivity in one context, or in all pooled.

    Which pairs are closed is taken from the majorities observed; only the answers on them are drawn again. Directions
    matter: a pair (a, c) is closed by a way from a to c.
    """
    chosen = graph.chosen_contexts(context=context) if isinstance(graph, MoralGraph) else None
    if isinstance(graph, CountedGraph) and context is not None:
        graph = graph.of_contexts([context])
    tally = tally_graph(graph, chosen=chosen)
    closed = closed_by_two_steps(tally.graph)
    decided = tally.graph.upgrade + tally.graph.no_upgrade
    judged = decided > 0

    def rates(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        yes, all_of = counts[..., 0], counts[..., 0] + counts[..., 1]
        on, off = ([part[:, mask].sum(axis=1) for part in (yes, all_of)] for mask in (closed, ~closed))
        return ratio(on[0], on[1]), ratio(off[0], off[1])

    rate_on, rate_off = (float(rate[0]) for rate in rates(tally.observed))
    low = high = np.nan
    if tally.answers is not None and tally.n_participants > 1 and n_bootstrap:
        generator = as_generator(rng, "transitivity")
        parts = [rates(tally.counts(w)) for w in resample_users(tally.n_participants, n_bootstrap, generator)]
        low, high = interval(np.concatenate([on - off for on, off in parts]), level)
    return Transitivity(
        closed_pairs=int((closed & judged).sum()),
        open_pairs=int((~closed & judged).sum()),
        closed_answers=int(decided[closed].sum()),
        open_answers=int(decided[~closed].sum()),
        closed_rate=rate_on,
        open_rate=rate_off,
        difference=rate_on - rate_off,
        low=low,
        high=high,
        level=level,
    )


def closed_by_two_steps(graph: CountedGraph) -> Bool[np.ndarray, " edges"]:
    """Which edges of a pooled graph have two arcs of the majority graph from their first value to their second."""
    majority = majority_graph(graph)
    arcs = np.zeros((graph.n_values, graph.n_values), dtype=np.float32)
    arcs[majority.source, majority.wiser] = 1.0
    return (arcs @ arcs > 0)[graph.source, graph.wiser]
