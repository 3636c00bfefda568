"""From predictions to an `Evaluation`: all scores, their intervals, and the groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from pluralism.calibration import debiased_ece, ece, ece_null_band, reliability_curve
from pluralism.errors import UsageError
from pluralism.evaluation.bootstrap import interval, ratio, resample_users, weighted_quantile
from pluralism.evaluation.groups import UNKNOWN, Grouping
from pluralism.evaluation.result import Evaluation, GroupScore
from pluralism.evaluation.sums import Scored, UserSums, draw_totals, score_rows

__all__ = ["Settings", "evaluate_predictions", "null_band"]

NULL_LEVEL = 0.9
P10 = 0.1
NOTHING = np.full(1, np.nan)


@dataclass(frozen=True)
class Settings:
    """How to score: see `pluralism.evaluate` for the meaning of each."""

    n_bins: int = 15
    n_bootstrap: int = 1000
    level: float = 0.95
    min_user_rows: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("n_bins", 1), ("n_bootstrap", 0), ("min_user_rows", 1)):
            if getattr(self, name) < least:
                raise UsageError(
                    f"{name}={getattr(self, name)!r} is not possible.", fix=f"{name} is an int of at least {least}."
                )
        if not 0 < self.level < 1:
            raise UsageError(f"level={self.level!r} is not possible.", fix="Pass a level in (0, 1), such as 0.95.")


def evaluate_predictions(
    p: Float[np.ndarray, " pairs"],
    y: Float[np.ndarray, " pairs"],
    weight: Float[np.ndarray, " pairs"],
    user: Int[np.ndarray, " pairs"],
    grouping: Grouping,
    placed: tuple[int, int, int],
    settings: Settings,
) -> Evaluation:
    """Score predictions.

    Parameters
    ----------
    p, y, weight : arrays of shape (pairs,)
        Predictions, outcomes, positive weights.
    user : int array of shape (pairs,)
        Any codes.
    grouping : Grouping
    placed : (int, int, int)
        Users seen in training, placed by support, by the prior.
    settings : Settings
    """
    rows = score_rows(p, y, weight, user)
    n_groups = len(grouping.names) + 1
    sums = _sums(rows, grouping.code, n_groups, settings.n_bins)
    matrix = sums.matrix()
    point = _metrics(sums, draw_totals(matrix, np.ones((1, rows.n_users))))
    user_accuracy, eligible = _user_accuracy(rows, settings.min_user_rows)
    everyone = np.ones((1, len(user_accuracy)))
    point["p10_user_accuracy"] = weighted_quantile(user_accuracy, everyone, P10) if len(user_accuracy) else NOTHING
    group_accuracy = np.where(np.arange(n_groups) < n_groups - 1, point["group_accuracy"][0], np.nan)
    worst = None if np.isnan(group_accuracy).all() else int(np.nanargmin(group_accuracy))
    draws = _draws(sums, matrix, user_accuracy, eligible, rows.n_users, settings)
    draws |= {"worst_group_accuracy": np.full(1, np.nan) if worst is None else draws["group_accuracy"][:, worst]}
    value = {name: float(values[0]) for name, values in point.items() if values.ndim == 1}
    intervals = {name: interval(draws[name], settings.level) for name in [*value, "worst_group_accuracy"]}
    low, high = intervals["ece"]
    intervals["ece"] = (max(0.0, 2 * value["ece"] - high), max(0.0, 2 * value["ece"] - low))
    decided = rows.decided
    told, some = (p[decided], y[decided]), bool(decided.any())
    band = null_band(p[decided], weight[decided], settings)
    return Evaluation(
        n=len(p),
        n_decided=int(decided.sum()),
        n_ties=int((~decided).sum()),
        users=rows.n_users,
        n_users_seen=placed[0],
        n_users_supported=placed[1],
        n_users_prior=placed[2],
        accuracy=value["accuracy"],
        nll=value["nll"],
        nll_decided=value["nll_decided"],
        brier=value["brier"],
        brier_decided=value["brier_decided"],
        ece=value["ece"],
        ece_debiased=debiased_ece(*told, n_bins=settings.n_bins, weight=weight[decided]) if some else np.nan,
        ece_null_low=band[0],
        ece_null_high=band[1],
        n_bins=settings.n_bins,
        signed_confidence_gap=value["signed_confidence_gap"],
        worst_group=None if worst is None else grouping.names[worst],
        worst_group_accuracy=np.nan if worst is None else float(group_accuracy[worst]),
        group_source=grouping.source,
        groups=_group_scores(rows, grouping, point, draws, settings),
        p10_user_accuracy=value["p10_user_accuracy"],
        p10_users=int(eligible.sum()),
        p10_min_rows=settings.min_user_rows,
        intervals=intervals,
        level=settings.level,
        reliability=reliability_curve(*told, n_bins=settings.n_bins, level=settings.level, weight=weight[decided])
        if some
        else None,
    )


def _sums(rows: Scored, group: Int[np.ndarray, " pairs"], n_groups: int, n_bins: int) -> UserSums:
    sums = UserSums(rows.user, rows.n_users)
    w, told = rows.weight, rows.weight * rows.decided
    columns = {
        "weight": w,
        "decided": told,
        "correct": told * rows.correct,
        "nll": w * rows.log_loss,
        "brier": w * rows.brier,
    }
    for name, values in columns.items():
        sums.add(name, values)
        sums.add(f"group_{name}", values, cell=group, n_cells=n_groups)
    sums.add("nll_decided", told * rows.log_loss)
    sums.add("brier_decided", told * rows.brier)
    confidence = np.maximum(rows.p, 1 - rows.p)
    edges = np.linspace(0.5, 1.0, n_bins + 1)
    bins = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, n_bins - 1)
    sums.add("gap", told * np.sign(rows.p - 0.5) * (rows.p - rows.y), cell=bins, n_cells=n_bins)
    return sums


def _metrics(sums: UserSums, totals: Float[np.ndarray, "draws columns"]) -> dict[str, np.ndarray]:
    """All scores of each draw: arrays of shape (draws,) and, where the name begins with group, (draws, groups)."""

    def of(name: str) -> np.ndarray:
        return sums.of(totals, name)

    weight, decided = of("weight")[:, 0], of("decided")[:, 0]
    return {
        "accuracy": ratio(of("correct")[:, 0], decided),
        "nll": ratio(of("nll")[:, 0], weight),
        "nll_decided": ratio(of("nll_decided")[:, 0], decided),
        "brier": ratio(of("brier")[:, 0], weight),
        "brier_decided": ratio(of("brier_decided")[:, 0], decided),
        "ece": ratio(np.abs(of("gap")).sum(axis=1), decided),
        "signed_confidence_gap": ratio(-of("gap").sum(axis=1), decided),
        "group_accuracy": ratio(of("group_correct"), of("group_decided")),
        "group_nll": ratio(of("group_nll"), of("group_weight")),
        "group_brier": ratio(of("group_brier"), of("group_weight")),
    }


def _user_accuracy(rows: Scored, min_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy of each eligible user, and who is eligible."""
    told = rows.weight * rows.decided
    decided = np.bincount(rows.user, told, rows.n_users)
    eligible = np.bincount(rows.user, rows.decided, rows.n_users) >= min_rows
    correct = np.bincount(rows.user, told * rows.correct, rows.n_users)
    return correct[eligible] / decided[eligible], eligible


def _draws(
    sums: UserSums,
    matrix: csr_array,
    user_accuracy: Float[np.ndarray, " eligible"],
    eligible: np.ndarray,
    n_users: int,
    settings: Settings,
) -> dict[str, np.ndarray]:
    parts = []
    n_draws = settings.n_bootstrap if n_users > 1 else 0
    for counts in resample_users(n_users, n_draws, np.random.default_rng([settings.seed, 0])):
        part = _metrics(sums, draw_totals(matrix, counts))
        some = len(user_accuracy) > 0
        part["p10_user_accuracy"] = (
            weighted_quantile(user_accuracy, counts[:, eligible], P10) if some else np.full(len(counts), np.nan)
        )
        parts.append(part)
    if not parts:
        empty = _metrics(sums, np.full((1, matrix.shape[1]), np.nan))
        return empty | {"p10_user_accuracy": NOTHING}
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def null_band(p: np.ndarray, weight: np.ndarray, settings: Settings) -> tuple[float, float]:
    """The 5 % and 95 % quantiles of the ECE of a calibrated model with these predictions."""
    if len(p) == 0:
        return np.nan, np.nan
    band = ece_null_band(
        p, settings.n_bins, level=NULL_LEVEL, weight=weight, rng=np.random.default_rng([settings.seed, 1])
    )
    return band.low, band.high


def _group_scores(
    rows: Scored, grouping: Grouping, point: dict[str, np.ndarray], draws: dict[str, np.ndarray], settings: Settings
) -> tuple[GroupScore, ...]:
    scores = []
    for k, name in enumerate([*grouping.names, UNKNOWN]):
        inside = grouping.code == k
        if not inside.any():
            continue
        told = inside & rows.decided
        low, high = null_band(rows.p[told], rows.weight[told], settings)
        scores.append(
            GroupScore(
                name=name,
                n=int(inside.sum()),
                users=len(np.unique(rows.user[inside])),
                accuracy=float(point["group_accuracy"][0, k]),
                nll=float(point["group_nll"][0, k]),
                brier=float(point["group_brier"][0, k]),
                ece=ece(rows.p[told], rows.y[told], n_bins=settings.n_bins, weight=rows.weight[told])
                if told.any()
                else np.nan,
                ece_null_low=low,
                ece_null_high=high,
                intervals={
                    metric: interval(draws[f"group_{metric}"][:, k], settings.level) for metric in ("accuracy", "nll")
                },
            )
        )
    return tuple(scores)
