"""Balanced-position diversity entropy: how undecided judges are about a pair over orders and evidence."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from scipy.optimize import minimize_scalar
from scipy.special import digamma, entr, gammaln

from pluralism.calibration.text import json_ready
from pluralism.discretion.judges.trials import JudgeTrials
from pluralism.errors import UsageError

__all__ = ["DiversityEntropy", "bpde"]


@dataclass(frozen=True, eq=False, repr=False)
class DiversityEntropy:
    """Entropy of win, tie and loss of the left item, by pair.

    Attributes
    ----------
    pairs : tuple of str
    shares : array of shape (pairs, 3)
        Of win, tie and loss, each order weighing the same; NaN where there is no verdict.
    raw : array of shape (pairs,)
        Entropy of the shares in nats, in [0, ln 3]; with few verdicts it is too low.
    smoothed : array of shape (pairs,)
        Its mean under a Dirichlet posterior.
    left : array of shape (pairs,)
        Posterior mean of the mass on the left item, ties half.
    """

    pairs: tuple[str, ...]
    shares: Float[np.ndarray, "pairs outcomes"]
    raw: Float[np.ndarray, " pairs"]
    smoothed: Float[np.ndarray, " pairs"]
    left: Float[np.ndarray, " pairs"]

    def to_frame(self) -> pa.Table:
        """Columns `pair, win, tie, loss, raw, smoothed, left`."""
        columns = dict(zip(("win", "tie", "loss"), self.shares.T, strict=True))
        columns |= {"raw": self.raw, "smoothed": self.smoothed, "left": self.left}
        arrays = {name: pa.array(values, mask=np.isnan(values)) for name, values in columns.items()}
        return pa.table({"pair": list(self.pairs), **arrays})

    def to_json(self) -> str:
        """The rows as JSON."""
        return json.dumps(json_ready({"pairs": self.to_frame().to_pylist()}), ensure_ascii=False, allow_nan=False)

    def __repr__(self) -> str:
        return (
            f"DiversityEntropy({len(self.pairs):,} pairs, mean {np.nanmean(self.raw):.3f} nats, smoothed "
            f"{np.nanmean(self.smoothed):.3f})"
        )


def bpde(trials: JudgeTrials, *, prior: float | None = None) -> DiversityEntropy:
    """Entropy of the verdicts on each pair over judges, orders and evidence.

    Parameters
    ----------
    trials : JudgeTrials
        A verdict above 1/2 is a win of the left item, at 1/2 a tie.
    prior : float, optional
        Verdicts that the prior is worth, above 0; it is Dirichlet with the overall shares, wins and losses alike. Left
        out, the number is the one under which the verdicts on all pairs are likeliest.

    References
    ----------
    P. Wang et al., Large Language Models are not Fair Evaluators, arXiv 2305.17926, 2023 (BPDE, which is `raw`).
    """
    if prior is not None and not (np.isfinite(prior) and prior > 0):
        raise UsageError(f"prior={prior!r} is not possible.", fix="Use a number above 0.")
    n = len(trials.pairs)
    rows = np.flatnonzero(trials.answered)
    lead = trials.verdict[rows] - 0.5
    outcome = np.where(np.abs(lead) < 1e-9, 1, np.where(lead > 0, 0, 2))
    cell = (trials.pair[rows].astype(np.int64) * 2 + trials.swapped[rows]) * 3 + outcome
    counts = np.bincount(cell, minlength=n * 6).reshape(n, 2, 3).astype(np.float64)
    total = counts.sum(axis=2)
    within = np.divide(counts, total[..., None], out=np.zeros_like(counts), where=total[..., None] > 0)
    orders = (total > 0).sum(axis=1)
    known = orders > 0
    shares = np.full((n, 3), np.nan)
    shares[known] = within[known].sum(axis=1) / orders[known, None]
    base = np.nan_to_num(shares[known].mean(axis=0) if known.any() else np.full(3, 1 / 3))
    base[[0, 2]] = (base[0] + base[2]) / 2
    # an outcome that nobody gave has no part in the entropy
    verdicts = np.nan_to_num(shares) * total.sum(axis=1)[:, None]
    alpha = (_likeliest_prior(verdicts, base) if prior is None else prior) * base[None] + verdicts
    mass = alpha.sum(axis=1, keepdims=True)
    mean = alpha / mass
    there = np.broadcast_to(base > 0, mean.shape)
    smoothed = digamma(mass[:, 0] + 1.0) - np.where(there, mean * digamma(alpha + 1.0), 0.0).sum(axis=1)
    raw = entr(np.nan_to_num(shares)).sum(axis=1)
    left = np.where(known, mean[:, 0] + 0.5 * mean[:, 1], np.nan)
    return DiversityEntropy(trials.pairs, shares, np.where(known, raw, np.nan), np.where(known, smoothed, np.nan), left)


def _likeliest_prior(verdicts: Float[np.ndarray, "pairs outcomes"], base: Float[np.ndarray, " outcomes"]) -> float:
    """Strength of the prior that maximises the Dirichlet-multinomial likelihood, between 0.1 and 1,000 verdicts."""
    seen = base > 0
    counts, share = verdicts[:, seen], base[seen]
    total = counts.sum(axis=1)

    def loss(log_strength: float) -> float:
        strength = float(np.exp(log_strength))
        likelihood = gammaln(strength) - gammaln(strength + total)
        likelihood = likelihood + (gammaln(strength * share + counts) - gammaln(strength * share)).sum(axis=1)
        return -float(likelihood.sum())

    found = minimize_scalar(loss, bounds=(np.log(0.1), np.log(1000.0)), method="bounded")
    return float(np.exp(found.x))
