"""How many factors people differ by, and how far loadings are shrunk: by the NLL of held-out answers of known users."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Bool, Float

from pluralism.models.preparation import Prepared
from pluralism.models.selection import Memo
from pluralism.solvers import PairProblem, Parameters, Terms, fit_mixture
from pluralism.solvers.gaussian_users import FactorFit, FactorTerms, GaussianUsers, fit_gaussian_users
from pluralism.solvers.placed_factors import placed_logits, placed_proba

__all__ = ["RankChoice", "base_of", "choose_factors"]

Split = tuple[Bool[np.ndarray, " pairs"], Bool[np.ndarray, " pairs"]]
RANKS = (0, 1, 2, 4, 8, 16)
SELECTION_TOL = 1e-5
EXPONENTS = (-1.0, 4.0)


@dataclass(frozen=True)
class RankChoice:
    """One row of the table by which the number of factors is chosen.

    Attributes
    ----------
    held_out : float
        Mean log-likelihood of held-out answers of known users, in nats an answer.
    difference_to_best, se_to_best : float
        How much the best rank is better, and the standard error of that over users.
    """

    rank: int
    loading_precision: float
    held_out: float
    difference_to_best: float
    se_to_best: float
    chosen: bool = False

    def to_dict(self) -> dict[str, object]:
        """The row as plain values."""
        return asdict(self)


def choose_factors(
    prepared: Prepared,
    terms: FactorTerms,
    splits: list[Split],
    *,
    unit: float,
    rank: int | None,
    max_rank: int,
    precision: float | None,
    seed: int,
    memo: Memo,
) -> tuple[FactorTerms, list[RankChoice]]:
    """Decide the rank and the precision of loadings, where they are not given.

    Precisions are climbed over half decades, first at a small rank; then ranks are tried upwards from 0, each with
    the precision of the one before and its neighbours, until two ranks in a row bring nothing. Chosen is the smallest
    rank within one standard error over users of the best.

    Parameters
    ----------
    splits : list of (train, held out)
        Masks of rows in problem order.
    unit : float
        Mean squared norm of the features, in units of which their loadings' precision is.
    rank, precision : optional
        Where they are given, they are kept.
    """
    starts: dict[tuple[int, int], np.ndarray] = {}
    bases: dict[int, Parameters] = {}
    tried: dict[tuple[int, float], Float[np.ndarray, " users"]] = {}
    mass = sum(float(prepared.problem.weight[held].sum()) for _, held in splits)

    def losses(r: int, exponent: float) -> Float[np.ndarray, " users"]:
        exponent = exponent if r else 0.0
        if (r, exponent) not in tried:
            total = np.zeros(prepared.problem.n_users)
            for f, (train, held) in enumerate(splits):
                candidate = with_loadings(terms, r, 10.0**exponent, unit)

                def one(
                    f: int = f,
                    train: np.ndarray = train,
                    held: np.ndarray = held,
                    candidate: FactorTerms = candidate,
                ) -> dict[str, np.ndarray]:
                    problem = prepared.subset(train)
                    rng = np.random.default_rng([seed, 7, f, r])
                    if f not in bases:
                        bases[f] = base_of(problem, terms, rng)
                    fit = fit_gaussian_users(
                        problem, candidate, rng=rng, base=bases[f], start=starts.get((f, r)), tol=SELECTION_TOL
                    )
                    table = GaussianUsers(problem, candidate).table(fit.parameters)
                    return {"vector": fit.vector, "loss": _user_losses(prepared.subset(held), fit, table)}

                found = memo(f"factors/{terms.n_groups}/{r}/{exponent}/{f}", one)
                starts[f, r] = found["vector"]
                total += found["loss"]
            tried[r, exponent] = total
        return tried[r, exponent]

    def climb(r: int, exponent: float, steps: tuple[float, ...]) -> float:
        if r == 0 or precision is not None:
            return exponent
        for step in steps:
            while True:
                near = [e for e in (exponent - step, exponent, exponent + step) if EXPONENTS[0] <= e <= EXPONENTS[1]]
                best = min(near, key=lambda e: losses(r, e).sum())
                if best == exponent:
                    break
                exponent = best
        return exponent

    exponent = 0.5 if precision is None else float(np.log10(precision))
    if rank is not None:
        exponent = climb(rank, exponent, (1.0, 0.5))
        return with_loadings(terms, rank, 10.0**exponent, unit), []
    exponent = climb(min(2, max_rank), exponent, (1.0, 0.5))
    at: dict[int, float] = {}
    for r in [r for r in RANKS if r <= max_rank]:
        at[r] = exponent = climb(r, exponent, (0.5,))
        best = min(at, key=lambda r: losses(r, at[r]).sum())
        if sum(r > best for r in at) >= 2:
            break
    voters = prepared.problem.voters > 0
    rows = []
    for r, e in at.items():
        difference = losses(r, e) - losses(best, at[best])
        error = float(np.sqrt(voters.sum()) * difference[voters].std(ddof=1)) if voters.sum() > 1 else 0.0
        rows.append((r, e, float(losses(r, e).sum()), float(difference.sum()), error))
    chosen = min(r for r, _, _, difference, error in rows if difference <= error)
    table = [
        RankChoice(r, 10.0**e, -loss / mass, difference / mass, error / mass, r == chosen)
        for r, e, loss, difference, error in rows
    ]
    return with_loadings(terms, chosen, 10.0 ** at[chosen], unit), table


def with_loadings(terms: FactorTerms, rank: int, precision: float, unit: float) -> FactorTerms:
    """The terms with a rank and a precision of loadings, for features in their unit and for items as it is."""
    own = None if terms.loading_precision is None else precision
    return terms.but(rank=rank, loading_ridge=precision * unit, loading_precision=own)


def base_of(problem: PairProblem, terms: FactorTerms, rng: np.random.Generator) -> Parameters:
    """Base scores to start from: the fit without factors."""
    plain = Terms(
        ridge=terms.ridge,
        item_precision=terms.item_precision,
        covariate_precision=terms.covariate_precision,
        concentration=terms.concentration,
    )
    return fit_mixture(problem, terms.n_groups, plain, rng=rng, n_init=1, tol=SELECTION_TOL).parameters


def _user_losses(
    problem: PairProblem, fit: FactorFit, table: Float[np.ndarray, "items columns"]
) -> Float[np.ndarray, " users"]:
    """NLL of each user's rows, in nats."""
    found = fit.placement
    offset = problem.design @ fit.parameters.covariate_effects
    logits = placed_logits(table, offset, problem.left, problem.right, problem.user, found.mean, found.covariance)
    p = np.clip(placed_proba(logits, found.posterior[problem.user]), 1e-12, 1 - 1e-12)
    loss = -(problem.outcome * np.log(p) + (1 - problem.outcome) * np.log1p(-p))
    return np.bincount(problem.user, problem.weight * loss, problem.n_users).astype(np.float64)
