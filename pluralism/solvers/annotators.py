"""Populations of ways to answer: how sure people are of what they prefer, and how often they answer without looking.

A person of group k with temperature t and lapse e prefers left with probability (1 - e) sigma(t z_k) + e / 2. Both are
summed out over a grid whose shares are learnt: log temperatures are normal around 0 (their mean cannot be told from the
scale of the rewards), lapses are as they come. So everybody is shrunk towards what is common, and where nobody lapses
the shares say so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy.polynomial.hermite_e import hermegauss
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from pluralism.solvers.annotator_kernels import annotator_chunk, annotator_parallel
from pluralism.solvers.chunks import over_chunks

if TYPE_CHECKING:
    from pluralism.solvers.pairs import PairProblem

__all__ = [
    "AnnotatorPass",
    "AnnotatorPrior",
    "Annotators",
    "Manner",
    "annotator_pass",
    "answer_information",
    "answer_odds",
]

LOG_TEMPERATURES = np.linspace(-1.6, 1.6, 9)
LAPSES = np.array([0.0, 0.03, 0.08, 0.16, 0.3, 0.5, 0.75, 1.0])
TYPICAL_SD = 0.3
SD_PRECISION = 0.1
HONEST_AT_FIRST = 0.8
ONE_HONEST_PERSON = 1.0
SLIVER = 0.01
NODES = 5
DEVIATIONS = (-4.0, 1.5)


@dataclass(frozen=True)
class Manner:
    """How each person answers: mean and covariance of (log temperature, lapse)."""

    mean: Float[np.ndarray, "users 2"]
    covariance: Float[np.ndarray, "users 2 2"]


@dataclass(frozen=True)
class Annotators:
    """A population: the share of each kind on the grid of log temperatures and lapses.

    `tie_share` is how often somebody who does not look calls a tie, where ties are answers of their own.
    """

    log_temperature: Float[np.ndarray, " temperatures"]
    lapse: Float[np.ndarray, " lapses"]
    log_shares: Float[np.ndarray, "temperatures lapses"]
    tie_share: float = 0.0

    def manner(self) -> Manner:
        """Of somebody of whom nothing is known."""
        share = np.exp(self.log_shares)
        grid = np.stack(np.broadcast_arrays(self.log_temperature[:, None], self.lapse), axis=-1)
        mean = np.einsum("te,tei->i", share, grid)
        centred = grid - mean
        return Manner(mean[None], np.einsum("te,tei,tej->ij", share, centred, centred)[None])


class AnnotatorPrior:
    """The population as a smooth function of a short vector: the log deviation of log temperatures, logits of lapses.

    Without evidence for either the deviation is small and nobody lapses: a weak prior on the deviation keeps it finite,
    and one person's worth of answers without lapses stands beside those of the data.
    """

    def __init__(self, *, temperature: bool, lapse: bool, tie_share: float) -> None:
        self.log_temperature = LOG_TEMPERATURES if temperature else np.zeros(1)
        self.lapse = LAPSES if lapse else np.zeros(1)
        self.tie_share = tie_share
        self.n_deviations, self.n_logits = int(temperature), len(LAPSES) if lapse else 0
        self.size = self.n_deviations + self.n_logits
        self.extra = np.full(self.n_logits, SLIVER)
        self.extra[:1] += ONE_HONEST_PERSON

    def start(self) -> Float[np.ndarray, " hyper"]:
        """Temperatures that differ a little, and most people who do not lapse."""
        rest = (1.0 - HONEST_AT_FIRST) / max(self.n_logits - 1, 1)
        logits = np.log(np.where(np.arange(self.n_logits) == 0, HONEST_AT_FIRST, rest))
        return np.concatenate([np.full(self.n_deviations, np.log(TYPICAL_SD)), logits])

    def at(self, x: Float[np.ndarray, " hyper"]) -> Annotators:
        """The population at x."""
        by_temperature, by_lapse = np.zeros(1), np.zeros(1)
        if self.n_deviations:
            by_temperature = log_softmax(-0.5 * (self.log_temperature * np.exp(-np.clip(x[0], -5, 5))) ** 2)
        if self.n_logits:
            by_lapse = log_softmax(x[self.n_deviations :])
        return Annotators(self.log_temperature, self.lapse, by_temperature[:, None] + by_lapse, self.tie_share)

    def penalised(
        self, x: Float[np.ndarray, " hyper"], kinds: Float[np.ndarray, "temperatures lapses"]
    ) -> tuple[float, Float[np.ndarray, " hyper"]]:
        """The penalty at x, and the gradient of it and of the negative log-likelihood; `kinds` are expected numbers."""
        found = self.at(x)
        value, gradient = 0.0, np.zeros(self.size)
        if self.n_deviations:
            off = x[0] - np.log(TYPICAL_SD)
            value += 0.5 * SD_PRECISION * off**2
            square = (self.log_temperature * np.exp(-np.clip(x[0], -5, 5))) ** 2
            share = np.exp(found.log_shares).sum(axis=1)
            gradient[0] = SD_PRECISION * off - float(kinds.sum(axis=1) @ (square - share @ square))
        if self.n_logits:
            log_share = log_softmax(x[self.n_deviations :])
            value -= float(self.extra @ log_share)
            counts = kinds.sum(axis=0) + self.extra
            gradient[self.n_deviations :] = np.exp(log_share) * counts.sum() - counts
        return value, gradient

    def best(self, kinds: Float[np.ndarray, "temperatures lapses"]) -> Float[np.ndarray, " hyper"]:
        """The most probable vector, given the expected numbers of each kind."""
        x = np.zeros(self.size)
        if self.n_deviations:
            # of the lapses nothing but a constant depends on the deviation
            rest = self.start()[1:]

            def value(deviation: float) -> float:
                at = np.concatenate([[deviation], rest])
                return self.penalised(at, kinds)[0] - float(np.sum(kinds * self.at(at).log_shares))

            x[0] = minimize_scalar(value, bounds=DEVIATIONS, method="bounded", options={"xatol": 1e-6}).x
        if self.n_logits:
            counts = kinds.sum(axis=0) + self.extra
            x[self.n_deviations :] = np.log(counts / counts.sum())
        return x

    def curvature(self, n_people: float) -> Float[np.ndarray, " hyper"]:
        """About the diagonal of the Hessian."""
        return np.concatenate(
            [np.full(self.n_deviations, SD_PRECISION + 0.5 * n_people), np.full(self.n_logits, 1.0 + n_people / 8.0)]
        )


@dataclass(frozen=True)
class AnnotatorPass:
    """What one sweep gives, as `PassResult`, with the expected numbers of each kind and how each person answers."""

    log_likelihood: Float[np.ndarray, " users"]
    responsibility: Float[np.ndarray, "users groups"]
    scores_gradient: Float[np.ndarray, "items groups"]
    effects_gradient: Float[np.ndarray, "covariates groups"]
    tie_gradient: float
    kinds: Float[np.ndarray, "temperatures lapses"]
    manner: Manner
    tilt: Float[np.ndarray, "rows groups"]


def annotator_pass(
    problem: PairProblem,
    scores: Float[np.ndarray, "items groups"],
    effects: Float[np.ndarray, "covariates groups"],
    log_weights: Float[np.ndarray, " groups"],
    annotators: Annotators,
    *,
    tie: float = 0.0,
    responsibility: Float[np.ndarray, "users groups"] | None = None,
    gradient: bool = True,
    spread: Float[np.ndarray, "pairs groups"] | None = None,
    tilt: bool = False,
) -> AnnotatorPass:
    """`pair_pass` with everybody's kind summed out; without `gradient` those come back empty.

    With `spread`, the variance of each row's logit in each group, the likelihoods are bounds on expectations (see
    `polya_gamma`), and with `tilt` their curvatures are given as well.
    """
    n_groups, n_chunks = scores.shape[1], len(problem.chunks) - 1
    fixed = responsibility is not None
    posterior = np.empty((problem.n_users, n_groups)) if responsibility is None else np.array(responsibility, float)
    log_likelihood, moments = np.zeros(problem.n_users), np.empty((problem.n_users, 5))
    kinds = np.zeros((n_chunks, *annotators.log_shares.shape))
    scores_gradient = np.zeros((n_chunks, problem.n_items if gradient else 0, n_groups))
    effects_gradient = np.zeros((n_chunks, problem.design.shape[1], n_groups))
    tie_gradient = np.zeros(n_chunks)
    bend = np.empty((len(problem.left) if tilt else 0, n_groups))
    over_chunks(
        annotator_chunk,
        annotator_parallel,
        *problem.columns,
        problem.design,
        np.ascontiguousarray(scores, dtype=np.float64),
        np.ascontiguousarray(effects, dtype=np.float64),
        np.ascontiguousarray(log_weights, dtype=np.float64),
        float(tie),
        float(annotators.tie_share),
        annotators.log_temperature,
        annotators.lapse,
        annotators.log_shares,
        fixed,
        posterior,
        log_likelihood,
        kinds,
        moments,
        scores_gradient,
        effects_gradient,
        tie_gradient,
        np.empty((0, n_groups)) if spread is None else spread,
        bend,
    )
    mean = np.ascontiguousarray(moments[:, :2])
    square = moments[:, [2, 3, 3, 4]].reshape(-1, 2, 2)
    return AnnotatorPass(
        log_likelihood,
        posterior,
        scores_gradient.sum(axis=0),
        effects_gradient.sum(axis=0),
        float(tie_gradient.sum()),
        kinds.sum(axis=0),
        Manner(mean, square - mean[:, :, None] * mean[:, None, :]),
        bend,
    )


def answer_information(
    z: Float[np.ndarray, " pairs"],
    outcome: Float[np.ndarray, " pairs"],
    lapse: Float[np.ndarray, " pairs"],
    tie: float,
    tie_share: float,
) -> tuple[Float[np.ndarray, " pairs"], Float[np.ndarray, " pairs"]]:
    """Per row: d log p / dz of the outcome, and the expected square of that (the Fisher information of z)."""
    half = np.exp(-0.5 * np.abs(z))
    total = 1.0 + half * half + tie * half
    win, lose = 1.0 / total, half * half / total
    tied = tie * half / total
    lead = np.sign(z) * 0.5 * (win - lose)
    sure = np.stack([np.where(z >= 0, win, lose), np.where(z >= 0, lose, win), tied])
    slope = sure * (np.array([0.5, -0.5, 0.0])[:, None] - lead)
    one_side = 0.5 * (1.0 - tie_share)
    blind = np.array([one_side, one_side, tie_share])[:, None]
    p = np.maximum((1.0 - lapse) * sure + lapse * blind, 1e-300)
    by_answer = (1.0 - lapse) * slope / p
    first = outcome * by_answer[0] + (1.0 - outcome) * by_answer[1]
    if tie > 0:
        first = np.where(outcome == 0.5, by_answer[2], first)
    return first, np.sum(p * by_answer**2, axis=0)


def answer_odds(
    z: Float[np.ndarray, "pairs groups"],
    manner: Manner,
    *,
    tie: float = 0.0,
    tie_share: float = 0.0,
    variance: Float[np.ndarray, "pairs groups"] | None = None,
) -> tuple[Float[np.ndarray, "pairs groups"], Float[np.ndarray, "pairs groups"], Float[np.ndarray, "pairs groups"]]:
    """P(left), P(right) and P(tie) of rows whose people answer so, averaged over what is not known of that.

    Parameters
    ----------
    z : array of shape (pairs, groups)
        Logits at temperature 1.
    manner : Manner
        One row a pair, or one row for all.
    variance : array of shape (pairs, groups), optional
        Of the logits at temperature 1, which then are means: probabilities are moderated (MacKay 1992).
    """
    nodes, shares = hermegauss(NODES)
    spread = np.sqrt(np.maximum(manner.covariance[:, 0, 0], 0.0))
    found = np.zeros((3, *z.shape))
    for node, share in zip(nodes, shares / shares.sum(), strict=True):
        temperature = np.exp(manner.mean[:, 0] + node * spread)[:, None]
        scaled = temperature * z
        if variance is not None:
            scaled = scaled / np.sqrt(1.0 + np.pi / 8.0 * temperature**2 * variance)
        # tie = 0 gives sigmoids
        log_total = np.logaddexp(np.abs(scaled) / 2, -np.abs(scaled) / 2)
        if tie > 0:
            log_total = np.logaddexp(log_total, np.log(tie))
            found[2] += share * np.exp(np.log(tie) - log_total)
        found[0] += share * np.exp(0.5 * scaled - log_total)
        found[1] += share * np.exp(-0.5 * scaled - log_total)
    lapse = manner.mean[:, 1, None]
    one_side = 0.5 * (1.0 - tie_share)
    blind = np.array([one_side, one_side, tie_share])[:, None, None]
    left, right, tied = (1.0 - lapse) * found + lapse * blind
    return left, right, tied
