"""Priorities of principles: one weight each, such that the heavier of two in conflict is followed more often.

Bradley-Terry on the contests of `Supremacy`, each counted once, with a Gaussian prior:

    maximise  sum_{c < c'} W_cc' log s(w_c - w_c') + W_c'c log s(w_c' - w_c) - ridge / 2 sum_c w_c^2.

Because of the prior the weights of each component have mean 0 and are finite, though the likelihood may have its
maximum at infinity; which principles that concerns is found by strong connectivity (Ford 1957).
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int

from pluralism.calibration.text import format_table, json_ready
from pluralism.discretion.measures.intervals import normal_interval, percentiles
from pluralism.discretion.measures.tournament import contest_components
from pluralism.errors import ComponentWarning, SeparationError, SeparationWarning, UsageError
from pluralism.random import RNG, as_generator
from pluralism.solvers.davidson import DavidsonProblem, fit_davidson, fit_davidson_draws
from pluralism.solvers.item_bradley_terry import fit_item_bradley_terry

__all__ = ["RIDGE", "Priority", "average_ranks", "principle_priority", "separated_levels"]

RIDGE = 0.25
TIE = 1e-6


@dataclass(frozen=True, eq=False, repr=False)
class Priority:
    """Weights of principles for one annotator.

    Attributes
    ----------
    annotator : str
    principles : tuple of str
    weight : array of shape (principles,)
        In logits, with mean 0 in each component; NaN for principles that were never contested.
    interval : array of shape (principles, 2)
    rank : array of shape (principles,)
        1 for the heaviest of its component, ties sharing their average rank; NaN where not contested.
    rank_interval : array of shape (principles, 2)
    component : int array of shape (principles,)
        Principles of different components met in no chain of conflicts, and cannot be compared; -1 where not contested.
    level : int array of shape (principles,)
        Where the contests do not connect a component both ways, its parts from the top: all verdicts between parts went
        to the upper one, the likelihood moves them apart for ever, and the prior alone says how far. All 0 otherwise.
    draws : array of shape (draws, principles)
        Weights in resamples; empty without a bootstrap.
    ridge : float
    """

    annotator: str
    principles: tuple[str, ...]
    weight: Float[np.ndarray, " principles"]
    interval: Float[np.ndarray, "principles two"]
    rank: Float[np.ndarray, " principles"]
    rank_interval: Float[np.ndarray, "principles two"]
    component: Int[np.ndarray, " principles"]
    level: Int[np.ndarray, " principles"]
    draws: Float[np.ndarray, "draws principles"]
    ridge: float

    @property
    def n_components(self) -> int:
        """Parts of the principles that no conflict joins."""
        return int(self.component.max(initial=-1)) + 1

    @property
    def order(self) -> tuple[str, ...]:
        """Contested principles by component, in it the heaviest first."""
        place = np.lexsort((-np.nan_to_num(self.weight, nan=-np.inf), self.component))
        return tuple(self.principles[k] for k in place if self.component[k] >= 0)

    @property
    def separated(self) -> bool:
        """Whether some weights are finite only because of the prior."""
        return bool((self.level > 0).any())

    def to_frame(self) -> pa.Table:
        """Columns `annotator, principle, weight, low, high, rank, rank_low, rank_high, component, level`."""
        known = self.component >= 0

        def column(values: np.ndarray) -> pa.Array:
            return pa.array(np.nan_to_num(values), mask=~known | np.isnan(values))

        return pa.table(
            {
                "annotator": pa.array([self.annotator] * len(self.principles), pa.string()),
                "principle": list(self.principles),
                "weight": column(self.weight),
                "low": column(self.interval[:, 0]),
                "high": column(self.interval[:, 1]),
                "rank": column(self.rank),
                "rank_low": column(self.rank_interval[:, 0]),
                "rank_high": column(self.rank_interval[:, 1]),
                "component": pa.array(self.component, mask=~known),
                "level": pa.array(self.level, mask=~known),
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything but the draws as plain types."""
        return json_ready(
            {
                "annotator": self.annotator,
                "ridge": self.ridge,
                "components": self.n_components,
                "separated": self.separated,
                "principles": self.to_frame().drop_columns(["annotator"]).to_pylist(),
            }
        )

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)

    def __repr__(self) -> str:
        place = [self.principles.index(name) for name in self.order]
        return f"Priority of {self.annotator}\n" + format_table(
            {
                "principle": [self.principles[k] for k in place],
                "weight": self.weight[place].tolist(),
                "low": self.interval[place, 0].tolist(),
                "high": self.interval[place, 1].tolist(),
                "rank": self.rank[place].tolist(),
            },
            2,
        )


def principle_priority(
    annotator: str,
    principles: tuple[str, ...],
    wins: Float[np.ndarray, "principles principles"],
    drawn: Float[np.ndarray, "draws principles principles"] | None = None,
    *,
    ridge: float = RIDGE,
    level: float = 0.95,
    rng: RNG = 0,
) -> Priority:
    """Fit the weights of one annotator.

    Parameters
    ----------
    wins : array of shape (principles, principles)
        Verdicts for the row's principle against the column's.
    drawn : array of shape (draws, principles, principles), optional
        The same in resamples, for intervals.
    ridge : float
        Precision of the prior; 0.25 expects differences of a few logits. With 0 the weights are of maximum likelihood,
        and have no intervals: in some resamples it has no finite maximum.
    level : float
        Of the intervals.
    rng : int, Generator or None
        In each resample the prior is centred anew at random (randomise, then optimise), so that intervals hold what the
        prior does not know.

    Raises
    ------
    SeparationError
        If `ridge` is 0 and the likelihood has no finite maximum.

    Warns
    -----
    SeparationWarning
        If some weights are finite only because of the prior.
    ComponentWarning
        If some principles cannot be compared.
    """
    if not (np.isfinite(ridge) and ridge >= 0):
        raise UsageError(f"ridge={ridge!r} is not possible.", fix="Use a number of at least 0.")
    component = contest_components(wins + wins.T)
    levels = separated_levels(wins, component)
    _warn(annotator, principles, component, levels, ridge)
    known = component >= 0
    weight = np.full(len(principles), np.nan)
    draws = np.empty((0, len(principles)))
    index = np.stack(np.triu_indices(len(principles), 1), axis=1)
    if known.any() and ridge > 0:
        problem = DavidsonProblem(
            index, np.tile([1.0, -1.0], (len(index), 1)), np.full(len(principles), float(ridge)), ties=False
        )
        start = fit_davidson(problem, _answers(wins[None], index)[0]).parameters
        weight = np.where(known, start, np.nan)
        if drawn is not None:
            centres = as_generator(rng, "priority").normal(0.0, ridge**-0.5, (len(drawn), len(principles)))
            draws = fit_davidson_draws(problem, _answers(drawn, index), start, centres=centres)
            draws[:, ~known] = np.nan
    elif known.any():
        played = wins[index[:, 0], index[:, 1]] + wins[index[:, 1], index[:, 0]]
        share = wins[index[:, 0], index[:, 1]] / np.where(played > 0, played, 1.0)
        fit = fit_item_bradley_terry(index[:, 0], index[:, 1], share, played, len(principles), precision=0.0, tol=1e-14)
        weight = np.where(known, fit.strength, np.nan)
    weight = centred(weight[None], component)[0]
    draws = centred(draws, component)
    ranks = average_ranks(draws, component)
    return Priority(
        annotator,
        principles,
        weight,
        normal_interval(weight, draws, level),
        average_ranks(weight[None], component)[0],
        percentiles(ranks, level),
        component,
        levels,
        draws,
        float(ridge),
    )


def centred(
    weights: Float[np.ndarray, "draws principles"], component: Int[np.ndarray, " principles"]
) -> Float[np.ndarray, "draws principles"]:
    """Weights less the mean of their component."""
    out = weights.copy()
    for part in range(int(component.max(initial=-1)) + 1):
        members = component == part
        out[:, members] -= out[:, members].mean(axis=1, keepdims=True)
    return out


def average_ranks(
    weights: Float[np.ndarray, "draws principles"], component: Int[np.ndarray, " principles"]
) -> Float[np.ndarray, "draws principles"]:
    """Rank within the component, 1 for the heaviest; those that tie share the average of their ranks."""
    same = (component[:, None] == component[None]) & (component >= 0)[:, None]
    np.fill_diagonal(same, False)
    out = np.empty(weights.shape)
    for k in range(weights.shape[1]):
        lead = np.where(same[k], weights - weights[:, k, None], -np.inf)
        out[:, k] = 1.0 + (lead > TIE).sum(axis=1) + 0.5 * (np.abs(lead) <= TIE).sum(axis=1)
    return np.where(np.isnan(weights), np.nan, out)


def separated_levels(
    wins: Float[np.ndarray, "principles principles"], component: Int[np.ndarray, " principles"]
) -> Int[np.ndarray, " principles"]:
    """Strong components of the wins, by how many others stand in a chain above; -1 where not contested.

    The likelihood has a finite maximum in a component if and only if it is strongly connected, all levels being 0.
    """
    import networkx as nx

    graph = nx.DiGraph()
    graph.add_nodes_from(np.flatnonzero(component >= 0).tolist())
    graph.add_edges_from([(int(i), int(j)) for i, j in np.argwhere(wins > 0) if i != j])
    condensed = nx.condensation(graph)
    depth: dict[int, int] = {}
    for node in nx.topological_sort(condensed):
        depth[node] = max((depth[above] + 1 for above in condensed.predecessors(node)), default=0)
    out = np.full(len(component), -1, dtype=np.int64)
    for node, members in condensed.nodes(data="members"):
        out[list(members)] = depth[node]
    return out


def _answers(
    wins: Float[np.ndarray, "draws principles principles"], index: Int[np.ndarray, "contests two"]
) -> Float[np.ndarray, "draws contests answers"]:
    first, second = index.T
    return np.stack([wins[:, first, second], wins[:, second, first], np.zeros((len(wins), len(index)))], axis=2)


def _warn(
    annotator: str,
    principles: tuple[str, ...],
    component: Int[np.ndarray, " principles"],
    levels: Int[np.ndarray, " principles"],
    ridge: float,
) -> None:
    def named(mask: Bool[np.ndarray, " principles"]) -> str:
        return ", ".join(name for name, there in zip(principles, mask, strict=True) if there)

    if (levels > 0).any():
        apart = np.isin(component, component[levels > 0])
        top, bottom = named(apart & (levels == 0)), named(apart & (levels == levels.max()))
        what = f"For {annotator}, no verdict, nor a chain of them, puts {bottom} above {top}"
        if ridge == 0:
            raise SeparationError(
                f"{what}: the likelihood of the priorities has no finite maximum.",
                fix="Use a prior, such as ridge=0.25, or leave these principles out.",
            )
        warnings.warn(
            f"{what}: how far apart their weights are rests on the prior alone.", SeparationWarning, stacklevel=3
        )
    never = component < 0
    n_parts = int(component.max(initial=-1)) + 1
    if never.any() or n_parts > 1:
        said = (
            [f"{named(never)} met no other principle in a conflict, and nothing is known of the weight"]
            if never.any()
            else []
        )
        if n_parts > 1:
            parts = "; ".join(named(component == part) for part in range(n_parts))
            said.append(f"the principles fall into {n_parts} parts that cannot be compared: {parts}")
        warnings.warn(f"For {annotator}: {', and '.join(said)}.", ComponentWarning, stacklevel=3)
