"""How strong the prior and how many groups: chosen on held-out data, and reported whole.

The ridge is chosen in blocks: whole prompts (or items, or votes) are held out, never single pairs of a prompt that
is trained on, since pairs share their items. The number of groups is chosen by the likelihood of held-out users:
half of a user's answers place them, the other half is scored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import logsumexp, xlogy

from pluralism.models.preparation import Prepared
from pluralism.solvers import MixtureFit, MixtureObjective, PairProblem, Terms, fit_mixture, group_log_likelihood
from pluralism.solvers.annotators import Manner, annotator_pass, answer_odds
from pluralism.solvers.objective import pair_gram

__all__ = ["GroupChoice", "RidgeChoice", "choose_ridge", "held_out_user_likelihood"]

Memo = Callable[[str, Callable[[], dict[str, np.ndarray]]], dict[str, np.ndarray]]
Masks = list[tuple[Bool[np.ndarray, " pairs"], Bool[np.ndarray, " pairs"]]]
DECADES = np.arange(-2.0, 7.0)
SELECTION_TOL = 1e-6


@dataclass(frozen=True)
class RidgeChoice:
    """The chosen ridge and the held-out NLL (nats an answer) at each one tried."""

    ridge: float
    tried: list[tuple[float, float]]


@dataclass(frozen=True)
class GroupChoice:
    """One row of the table by which the number of groups is chosen.

    Attributes
    ----------
    held_out : float
        Mean log-likelihood of held-out users' second halves, in nats an answer.
    se_to_best : float
        Standard error over users of the difference to the best number of groups.
    bic, icl : float
        Lower is better; users with answers are the sample size.
    """

    n_groups: int
    ridge: float
    held_out: float
    difference_to_best: float
    se_to_best: float
    bic: float | None = None
    icl: float | None = None
    chosen: bool = False

    def to_dict(self) -> dict[str, object]:
        """The row as plain values."""
        return asdict(self)


def choose_ridge(
    prepared: Prepared,
    n_groups: int,
    terms: Terms,
    masks: Masks,
    *,
    rng: np.random.Generator,
    start: float,
    memo: Memo,
    unit: float,
) -> RidgeChoice:
    """Hill-climb over half decades of the ridge by the NLL of held-out blocks.

    For mixtures a user's held-out answers are predicted after placing the user by their training answers in the fold.

    Parameters
    ----------
    start : float
        Where to begin, in units of `unit`.
    unit : float
        The mean squared norm of the features, so that the grid means the same for every encoder.
    """
    starts: dict[int, Float[np.ndarray, " parameters"]] = {}
    grams: dict[int, Float[np.ndarray, "dim dim"] | None] = {}
    tried: dict[float, float] = {}
    noise = int(rng.integers(2**31))

    def nll(exponent: float) -> float:
        exponent = round(exponent * 2) / 2
        if exponent in tried:
            return tried[exponent]
        loss = mass = 0.0
        for f, (train, validation) in enumerate(masks):

            def one(
                f: int = f, train: np.ndarray = train, validation: np.ndarray = validation
            ) -> dict[str, np.ndarray]:
                problem = prepared.subset(train)
                fold_rng = np.random.default_rng([noise, f, n_groups])
                if f not in grams:
                    grams[f] = pair_gram(problem, fold_rng)
                fold_terms = terms.but(ridge=unit * 10.0**exponent)
                fit = fit_mixture(
                    problem,
                    n_groups,
                    fold_terms,
                    rng=fold_rng,
                    n_init=1,
                    n_candidates=4,
                    tol=SELECTION_TOL,
                    start=starts.get(f),
                    gram=grams[f],
                )
                total, weight = _predictive(prepared.subset(validation), fit, fold_terms)
                return {"vector": fit.vector, "loss": np.array([total, weight])}

            result = memo(f"ridge/{n_groups}/{terms.item_precision}/{exponent}/{f}", one)
            starts[f] = result["vector"]
            loss += float(result["loss"][0])
            mass += float(result["loss"][1])
        tried[exponent] = loss / max(mass, 1e-12)
        return tried[exponent]

    best = float(np.clip(np.log10(start), DECADES[0], DECADES[-1]))
    for step in (1.0, 0.5):
        while True:
            options = [e for e in (best - step, best, best + step) if DECADES[0] <= e <= DECADES[-1]]
            better = min(options, key=nll)
            if better == best:
                break
            best = better
    best = round(best * 2) / 2
    return RidgeChoice(unit * 10.0**best, sorted((unit * 10.0**e, value) for e, value in tried.items()))


def held_out_user_likelihood(
    prepared: Prepared,
    n_groups: int,
    terms: Terms,
    *,
    n_folds: int,
    rng: np.random.Generator,
    memo: Memo,
) -> Float[np.ndarray, " users"]:
    """Log predictive probability of the second half of each user's answers, users held out in folds.

    Users with one answer have it scored under the prior. Returns nats a user (users,).
    """
    problem = prepared.problem
    fold = rng.permutation(problem.n_users) % n_folds
    coin = rng.random(len(problem.left))
    # ranks within each user: the first half (rounded down) places, the rest is scored
    order = np.lexsort((coin, problem.user))
    rank = np.empty(len(coin), dtype=np.int64)
    rank[order] = np.arange(len(coin)) - problem.user_start[problem.user[order]]
    support = rank < np.diff(problem.user_start)[problem.user] // 2
    noise = int(rng.integers(2**31))
    out = np.zeros(problem.n_users)
    for f in range(n_folds):
        held = fold[problem.user] == f

        def one(f: int = f, held: np.ndarray = held) -> dict[str, np.ndarray]:
            fit = fit_mixture(
                prepared.subset(~held),
                n_groups,
                terms,
                rng=np.random.default_rng([noise, f]),
                n_init=2,
                tol=SELECTION_TOL,
            )
            whole = _log_likelihood(prepared.subset(held), fit, terms)
            return {"value": whole - _log_likelihood(prepared.subset(held & support), fit, terms)}

        out += np.where(fold == f, memo(f"groups/{n_groups}/{f}", one)["value"], 0.0)
    return out


def _log_likelihood(problem: PairProblem, fit: MixtureFit, terms: Terms) -> Float[np.ndarray, " users"]:
    """Of all answers of each user together, groups and kinds of annotators summed out."""
    p = fit.parameters
    scores = MixtureObjective(problem, len(p.log_weights), terms).scores(p)
    if p.annotators is None:
        by_group = group_log_likelihood(problem, scores, p.covariate_effects, tie=p.tie)
        return logsumexp(by_group + p.log_weights, axis=1)
    found = annotator_pass(problem, scores, p.covariate_effects, p.log_weights, p.annotators, tie=p.tie, gradient=False)
    return found.log_likelihood


def _predictive(problem: PairProblem, fit: MixtureFit, terms: Terms) -> tuple[float, float]:
    """Total weighted NLL of rows under each user's posterior from the training rows, and the weight."""
    objective = MixtureObjective(problem, len(fit.parameters.log_weights), terms)
    scores = objective.scores(fit.parameters)
    z = scores[problem.left] - scores[problem.right] + problem.design @ fit.parameters.covariate_effects
    tied = problem.outcome == 0.5
    if fit.manner is not None and fit.parameters.annotators is not None:
        left, right, draw = answer_odds(
            z,
            Manner(fit.manner.mean[problem.user], fit.manner.covariance[problem.user]),
            tie=fit.parameters.tie,
            tie_share=fit.parameters.annotators.tie_share,
        )
        y = problem.outcome[:, None]
        log_p = xlogy(y, left) + xlogy(1.0 - y, right)
        if fit.parameters.tie > 0:
            log_p[tied] = np.log(draw[tied])
    else:
        half = np.exp(-0.5 * np.abs(z))
        total = 1.0 + half * half + fit.parameters.tie * half
        log_p = (problem.outcome - 0.5)[:, None] * z - 0.5 * np.abs(z) - np.log(total)
        if fit.parameters.tie > 0:
            log_p[tied] += np.log(fit.parameters.tie)
    with np.errstate(divide="ignore"):
        row = logsumexp(log_p + np.log(fit.responsibility[problem.user]), axis=1)
    return -float(problem.weight @ row), float(problem.weight.sum())
