"""How strong the prior of Plackett-Luce and how many groups: chosen on ballots that were held out.

Where each voter cast one ballot, voters are held out, a line of an election file counting as so many voters; a ballot
is scored under the group weights. Where people cast several ballots, the ridge is chosen by ballots held out of each
person, scored after the others have placed the person, and the number of groups by held-out people, as in
`pluralism.models.selection`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp

from pluralism.data import Comparisons
from pluralism.data.folds import default_blocks, folds
from pluralism.errors import UsageError
from pluralism.models.ballots import PreparedBallots
from pluralism.models.selection import Memo
from pluralism.solvers import MixtureFit, MixtureObjective, Terms, fit_mixture
from pluralism.solvers.plackett_luce import RankingProblem, ranking_log_likelihood

__all__ = ["Fold", "choose_precision", "held_out_folds", "held_out_voters"]

N_FOLDS = 5
LOWEST, HIGHEST = -3.0, 6.0
SELECTION_TOL = 1e-6


@dataclass(frozen=True)
class Fold:
    """What is trained on, and what is scored."""

    train: RankingProblem
    held: RankingProblem
    separate: bool

    def losses(self, fit: MixtureFit) -> tuple[Float[np.ndarray, " users"], Float[np.ndarray, " users"]]:
        """Per user: the NLL of one held-out voter (or of the held-out ballots), and how many there are."""
        scores = MixtureObjective(self.train, len(fit.parameters.log_weights), Terms()).scores(fit.parameters)
        held = ranking_log_likelihood(self.held, scores)
        prior = fit.parameters.log_weights
        if self.separate:
            return -logsumexp(prior + held, axis=1), self.held.voters
        placed = prior + ranking_log_likelihood(self.train, scores)
        ballots = np.bincount(self.held.ballots.user, self.held.ballots.weight, self.held.n_users)
        loss = logsumexp(placed, axis=1) - logsumexp(placed + held, axis=1)
        return loss / np.maximum(ballots, 1e-12), ballots


def held_out_folds(prepared: PreparedBallots, seed: int) -> tuple[list[Fold], str] | None:
    """Five folds and what is held out in them; None where there is too little to hold anything out."""
    problem = prepared.problem
    rng = np.random.default_rng([seed, 11])
    if prepared.voters_are_separate:
        counts = _voters_of_folds(problem.voters, rng)
        if np.any(counts.sum(axis=0) == 0):
            return None
        rest = problem.voters[:, None] - counts
        pairs = zip(rest.T, counts.T, strict=True)
        return [
            Fold(problem.reweighted(multiplicity=t.copy()), problem.reweighted(multiplicity=h.copy()), True)
            for t, h in pairs
        ], "voter"
    found = _masks(prepared, seed)
    if found is None:
        return None
    masks, blocks = found
    return [Fold(prepared.subset(train), prepared.subset(held), False) for train, held in masks], blocks


def choose_precision(
    folds: list[Fold],
    n_groups: int,
    terms: Callable[[float], Terms],
    *,
    start: float,
    unit: float,
    memo: Memo,
    name: str,
    rng: np.random.Generator,
) -> tuple[float, list[tuple[float, float]]]:
    """Hill-climb over half decades of a precision by the held-out NLL.

    Parameters
    ----------
    terms : callable
        The terms with the precision given.
    start, unit : float
        Where to begin, in units of `unit`.

    Returns
    -------
    (precision, [(precision, nats a ballot), ...])
    """
    tried: dict[float, float] = {}
    starts: dict[int, Float[np.ndarray, " parameters"]] = {}
    noise = int(rng.integers(2**31))

    def loss(exponent: float) -> float:
        exponent = round(2 * exponent) / 2
        if exponent in tried:
            return tried[exponent]
        total = mass = 0.0
        for f, fold in enumerate(folds):

            def one(f: int = f, fold: Fold = fold, exponent: float = exponent) -> dict[str, np.ndarray]:
                fit = fit_mixture(
                    fold.train,
                    n_groups,
                    terms(unit * 10.0**exponent),
                    rng=np.random.default_rng([noise, f, n_groups]),
                    n_init=1,
                    n_candidates=4,
                    tol=SELECTION_TOL,
                    start=starts.get(f),
                )
                losses, number = fold.losses(fit)
                return {"vector": fit.vector, "loss": np.array([losses @ number, number.sum()])}

            found = memo(f"{name}/{n_groups}/{exponent}/{f}", one)
            starts[f] = found["vector"]
            total += float(found["loss"][0])
            mass += float(found["loss"][1])
        tried[exponent] = total / max(mass, 1e-12)
        return tried[exponent]

    best = float(np.clip(round(2 * np.log10(start)) / 2, LOWEST, HIGHEST))
    for step in (1.0, 0.5):
        while True:
            options = [e for e in (best, best - step, best + step) if LOWEST <= e <= HIGHEST]
            better = min(options, key=loss)
            if better == best:
                break
            best = better
    return unit * 10.0**best, sorted((unit * 10.0**e, value) for e, value in tried.items())


def held_out_voters(
    prepared: PreparedBallots, n_groups: int, terms: Terms, *, seed: int, memo: Memo
) -> tuple[Float[np.ndarray, " scored"], Float[np.ndarray, " scored"], Float[np.ndarray, " scored"]]:
    """Log predictive probabilities of people held out of the fit: values, how many people each is, ballots scored.

    A person who cast several ballots is placed by half of them, and the other half is scored.
    """
    problem = prepared.problem
    rng = np.random.default_rng([seed, 12])
    if prepared.voters_are_separate:
        counts = _voters_of_folds(problem.voters, rng)
        support = np.zeros(len(problem.ballots.weight))
        query = problem.ballots.weight
    else:
        fold = rng.permutation(problem.n_users) % N_FOLDS
        counts = (fold[:, None] == np.arange(N_FOLDS)) * problem.voters[:, None]
        early = _first_halves(prepared, rng)
        support = np.where(early, problem.ballots.weight, 0.0)
        query = np.where(early, 0.0, problem.ballots.weight)
    values = np.zeros(counts.shape)
    for f in range(N_FOLDS):
        if counts[:, f].sum() == 0:
            continue

        def one(f: int = f) -> dict[str, np.ndarray]:
            train = problem.reweighted(multiplicity=problem.voters - counts[:, f])
            fit = fit_mixture(
                train, n_groups, terms, rng=np.random.default_rng([seed, 13, f]), n_init=2, tol=SELECTION_TOL
            )
            scores = MixtureObjective(problem, n_groups, terms).scores(fit.parameters)
            placed = fit.parameters.log_weights + ranking_log_likelihood(problem.reweighted(weight=support), scores)
            scored = ranking_log_likelihood(problem.reweighted(weight=query), scores)
            return {"value": logsumexp(placed + scored, axis=1) - logsumexp(placed, axis=1)}

        values[:, f] = memo(f"groups/{n_groups}/{f}", one)["value"]
    mass = np.bincount(problem.ballots.user, query, problem.n_users)
    people = counts > 0
    return values[people], counts[people], np.broadcast_to(mass[:, None], counts.shape)[people]


def _voters_of_folds(voters: Float[np.ndarray, " users"], rng: np.random.Generator) -> Float[np.ndarray, "users folds"]:
    """How many of the people each user stands for are in each fold; fractions stay together."""
    whole = bool(np.all(voters == np.round(voters)))
    if whole:
        return rng.multinomial(voters.astype(np.int64), np.full(N_FOLDS, 1.0 / N_FOLDS)).astype(np.float64)
    fold = rng.permutation(len(voters)) % N_FOLDS
    return (fold[:, None] == np.arange(N_FOLDS)) * voters[:, None]


def _first_halves(prepared: PreparedBallots, rng: np.random.Generator) -> np.ndarray:
    """Mask of the ballots of a random first half of each user's rows, rounded down."""
    user, row = prepared.problem.ballots.user, prepared.row
    pairs, where = np.unique(np.stack([user, row]), axis=1, return_inverse=True)
    owner, coin = pairs[0], rng.random(pairs.shape[1])
    order = np.lexsort((coin, owner))
    size = np.bincount(owner, minlength=prepared.problem.n_users)
    rank = np.empty(len(owner), dtype=np.int64)
    rank[order] = np.arange(len(owner)) - (np.cumsum(size) - size)[owner[order]]
    early: np.ndarray = (rank < size[owner] // 2)[where.ravel()]
    return early


def _masks(prepared: PreparedBallots, seed: int) -> tuple[list[tuple[np.ndarray, np.ndarray]], str] | None:
    source = prepared.source
    if isinstance(source, Comparisons):
        for by in (default_blocks(source, N_FOLDS), "row"):
            try:
                made = folds(source, N_FOLDS, by=by, rng=seed)
            except UsageError:
                continue
            return [(train[prepared.row], held[prepared.row]) for train, held in made], by
        return None
    ballots = prepared.problem.ballots
    if np.count_nonzero(ballots.weight) < N_FOLDS:
        return None
    fold = np.random.default_rng([seed, 14]).permutation(len(ballots.weight)) % N_FOLDS
    return [(fold != f, fold == f) for f in range(N_FOLDS)], "ballot"
