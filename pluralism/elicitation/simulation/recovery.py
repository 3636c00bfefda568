"""How well a rule finds what was planted."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
from scipy.stats import kendalltau

from pluralism.elicitation.aggregators.ranking import GraphRanking
from pluralism.elicitation.simulation.people import SimulatedPeople
from pluralism.errors import UsageError

__all__ = ["Recovery", "recovery"]


@dataclass(frozen=True)
class Recovery:
    """A ranking beside the truth.

    Attributes
    ----------
    tau : float
        Kendall's tau-b with the true wisdoms over all values; values that are not ranked are tied below all others.
    top_regret : float
        True wisdom of the wisest value less that of the value ranked first (the mean of those tied), in log-odds.
    edge_f1 : float
        Of the edges that the rule keeps (or, where it keeps all, that its scores say lead upwards), against those that
        truly do, among the pairs judged.
    rank_coverage, score_coverage : float
        Share of values whose true rank, or true wisdom, lies in its interval; NaN without a bootstrap.
    """

    tau: float
    top_regret: float
    edge_f1: float
    rank_coverage: float
    score_coverage: float

    def to_frame(self) -> pa.Table:
        """One row with the fields."""
        return pa.table({name: [value] for name, value in asdict(self).items()})

    def to_json(self) -> str:
        """The fields as JSON; null where there is none."""
        return json.dumps({k: None if np.isnan(v) else v for k, v in asdict(self).items()})

    def __repr__(self) -> str:
        return f"Recovery(tau {self.tau:.2f}, regret {self.top_regret:.2f}, edge F1 {self.edge_f1:.2f})"


def recovery(ranking: GraphRanking, people: SimulatedPeople, *, context: str | None = None) -> Recovery:
    """Compare a ranking of a simulated study with what was planted.

    Parameters
    ----------
    context : str, optional
        Compare with the wisdoms of this context; left out, with their mean.
    """
    if ranking.ids != tuple(people.cards):
        raise UsageError("The ranking is of other values than these people have.", fix="Use the graph of their study.")
    truth = people.pooled_wisdom if context is None else people.wisdom[people.contexts.index(context)]
    ranked = ~np.isnan(ranking.scores)
    if not ranked.any():
        return Recovery(0.0, float(truth.max() - truth.mean()), 0.0, np.nan, np.nan)
    scores = np.where(ranked, ranking.scores, np.nanmin(ranking.scores) - 1.0)
    first = ranked & (scores >= scores.max() - 1e-12)
    tau = kendalltau(scores, truth).statistic
    rank_coverage = score_coverage = np.nan
    if ranking.uncertainty is not None:
        true_rank = 1 + (truth[None] > truth[:, None]).sum(axis=1)
        low, high = ranking.uncertainty.rank_interval[ranked].T
        rank_coverage = float(np.mean((low <= true_rank[ranked]) & (true_rank[ranked] <= high)))
        low, high = ranking.uncertainty.score_interval[ranked].T
        score_coverage = float(np.mean((low <= truth[ranked]) & (truth[ranked] <= high)))
    return Recovery(
        0.0 if np.isnan(tau) else float(tau),
        float(truth.max() - truth[first].mean()),
        _edge_f1(ranking, scores, truth),
        rank_coverage,
        score_coverage,
    )


def _edge_f1(ranking: GraphRanking, scores: np.ndarray, truth: np.ndarray) -> float:
    place = {name: i for i, name in enumerate(ranking.ids)}
    source = [place[name] for name in ranking.edges["source"].to_pylist()]
    wiser = [place[name] for name in ranking.edges["wiser"].to_pylist()]
    true = truth[wiser] > truth[source]
    if "kept" in ranking.edges.column_names:
        said = np.asarray(ranking.edges["kept"].to_pylist(), dtype=bool)
    else:
        said = scores[wiser] > scores[source]
    right = int((said & true).sum())
    return 2.0 * right / max(int(said.sum() + true.sum()), 1)
