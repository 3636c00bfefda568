"""Users as weights on prototypes: a convex fit of each, its posterior, and the prior learnt from all of them.

Row n of user u has the logit z = sum_k w_uk (T_ak - T_bk), where T (items x groups) says what each prototype makes of
each item and w_u is on the simplex. A part of the reward that is common to all prototypes is a part of every column.
The prior is Dirichlet(alpha). In the coordinates of the softmax its density is proportional to prod_k w_k^alpha_k
(MacKay, Choice of basis for Laplace approximation, 1998), so the penalised fit of a user,

    min_w  sum_n [log(1 + e^z) - y z] - sum_k alpha_k log w_k,

is convex and has an interior solution for every positive alpha; without answers it is the prior mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize
from scipy.special import digamma, gammaincinv, gammaln
from scipy.stats import norm, qmc

from pluralism.solvers.pairs import PairProblem
from pluralism.solvers.simplex_kernels import place_chunk, place_parallel
from pluralism.solvers.simplex_posterior_kernels import posterior_chunk, posterior_parallel
from pluralism.solvers.threads import threads_for_square

__all__ = [
    "PlacedUsers",
    "UserPosterior",
    "dirichlet_draws",
    "dirichlet_moments",
    "dirichlet_prior",
    "place_users",
    "user_posterior",
]

N_DRAWS = 256
LEAST, MOST = 0.02, 200.0
LOG_ALPHA_SD = 2.0
TINY = 1e-300


@dataclass(frozen=True)
class PlacedUsers:
    """Best weights of each user, and what they mean for the table.

    Attributes
    ----------
    weights : array of shape (users, groups)
    value : array of shape (users,)
        Penalised loss of each user; for users with answers the constant of the Dirichlet density is added.
    gradient : array of shape (items, groups)
        Gradient of the sum of the values for the item table.
    """

    weights: Float[np.ndarray, "users groups"]
    value: Float[np.ndarray, " users"]
    gradient: Float[np.ndarray, "items groups"]


@dataclass(frozen=True)
class UserPosterior:
    """Posterior of the users' weights by importance sampling.

    Attributes
    ----------
    mean, log_mean : arrays of shape (users, groups)
        Expectations of w and of log w.
    covariance : array of shape (users, groups, groups)
    ess : array of shape (users,)
        Effective sample size, in [1, draws]; all draws for users without answers.
    evidence : array of shape (users,)
        Log marginal likelihood of the user's answers.
    """

    mean: Float[np.ndarray, "users groups"]
    log_mean: Float[np.ndarray, "users groups"]
    covariance: Float[np.ndarray, "users groups groups"]
    ess: Float[np.ndarray, " users"]
    evidence: Float[np.ndarray, " users"]


def place_users(
    problem: PairProblem,
    table: Float[np.ndarray, "items groups"],
    alpha: Float[np.ndarray, " groups"],
    *,
    start: Float[np.ndarray, "users groups"] | None = None,
    gradient: bool = True,
) -> PlacedUsers:
    """The penalised fit of every user's weights, and the gradient of their sum by the envelope theorem.

    Parameters
    ----------
    problem : PairProblem
        Its features and design play no part.
    table : array of shape (items, groups)
        What each prototype makes of each item, in logits.
    alpha : array of shape (groups,)
        Parameters of the Dirichlet prior, positive.
    start : array of shape (users, groups), optional
        Positive weights from which to look for the best, such as those for a table that was much the same; the prior
        mean if not given.
    gradient : bool
        Without it the gradient has no rows.
    """
    n_chunks = len(problem.chunks) - 1
    weights = np.empty((problem.n_users, table.shape[1])) if start is None else np.array(start, np.float64)
    value = np.empty(problem.n_users)
    slopes = np.zeros((n_chunks, problem.n_items if gradient else 0, table.shape[1]))
    arguments = (
        *_rows(problem),
        np.ascontiguousarray(table, np.float64),
        np.asarray(alpha, np.float64),
        start is not None,
        weights,
        value,
        slopes,
    )
    if n_chunks == 1:
        place_chunk(0, *arguments)
    else:
        place_parallel(*arguments)
    constant = float(gammaln(alpha.sum()) - gammaln(alpha).sum())
    return PlacedUsers(weights, value - constant * problem.voters, slopes[0] if n_chunks == 1 else slopes.sum(axis=0))


def user_posterior(
    problem: PairProblem,
    table: Float[np.ndarray, "items groups"],
    alpha: Float[np.ndarray, " groups"],
    *,
    n_draws: int = N_DRAWS,
) -> UserPosterior:
    """Posterior moments of every user's weights.

    Half of the draws come from the prior, half from Laplace's approximation in log-ratio coordinates at the user's
    best weights; they are quasi-random and the same for all users, so the result is a function of a user's own
    answers.
    """
    n_users = problem.n_users
    prior = dirichlet_moments(alpha)
    mean, log_mean = np.tile(prior[0], (n_users, 1)), np.tile(prior[1], (n_users, 1))
    covariance = np.tile(prior[2], (n_users, 1, 1))
    ess, evidence = np.full(n_users, float(n_draws)), np.zeros(n_users)
    if n_users == 0:
        return UserPosterior(mean, log_mean, covariance, ess, evidence)
    draws, normal = _draws(alpha, n_draws // 2)
    arguments = (*_rows(problem), np.ascontiguousarray(table, np.float64), np.asarray(alpha, np.float64))
    arguments += (draws, normal, mean, covariance, log_mean, ess, evidence)
    if len(problem.chunks) == 2:
        posterior_chunk(0, *arguments)
    else:
        posterior_parallel(*arguments)
    return UserPosterior(mean, log_mean, covariance, ess, evidence)


def dirichlet_prior(
    alpha: Float[np.ndarray, " groups"],
    voters: Float[np.ndarray, " users"],
    posterior: Callable[[Float[np.ndarray, " groups"]], UserPosterior],
    *,
    n_iter: int = 12,
    tol: float = 1e-2,
) -> Float[np.ndarray, " groups"]:
    """Empirical Bayes: the alpha under which the users' answers are most likely, from a start at `alpha`.

    `posterior` places the users under an alpha; `voters` is 1 for those who count. EM (expectations of log w under
    each user's posterior; Minka, Estimating a Dirichlet distribution, 2000, for the M step), two steps at a time,
    extrapolated (Varadhan and Roland 2008). A log-normal prior around 1 keeps alpha finite where few users say little.
    """
    if len(alpha) == 1 or voters.sum() == 0:
        return alpha
    for _ in range(n_iter):
        first = _em_step(alpha, voters, posterior)
        second = _em_step(first, voters, posterior)
        move, bend = np.log(first / alpha), np.log(second / first) - np.log(first / alpha)
        length = np.clip(np.linalg.norm(move) / max(float(np.linalg.norm(bend)), 1e-12), 1.0, 8.0)
        jumped = np.log(alpha) + 2.0 * length * move + length**2 * bend
        found = np.clip(np.exp(np.clip(jumped, np.log(second) - 1.0, np.log(second) + 1.0)), LEAST, MOST)
        done = float(np.abs(np.log(second / alpha)).max()) < tol
        alpha = second if done else found
        if done:
            break
    return alpha


def _em_step(
    alpha: Float[np.ndarray, " groups"],
    voters: Float[np.ndarray, " users"],
    posterior: Callable[[Float[np.ndarray, " groups"]], UserPosterior],
) -> Float[np.ndarray, " groups"]:
    logs = voters @ posterior(alpha).log_mean
    count = voters.sum()

    def objective(log_alpha: Float[np.ndarray, " groups"]) -> tuple[float, Float[np.ndarray, " groups"]]:
        a = np.exp(log_alpha)
        value = count * (gammaln(a).sum() - gammaln(a.sum())) - a @ logs
        slope = a * (count * (digamma(a) - digamma(a.sum())) - logs)
        return value + 0.5 * log_alpha @ log_alpha / LOG_ALPHA_SD**2, slope + log_alpha / LOG_ALPHA_SD**2

    bounds = [(np.log(LEAST), np.log(MOST))] * len(alpha)
    with threads_for_square(len(alpha)):
        return np.exp(minimize(objective, np.log(alpha), jac=True, method="L-BFGS-B", bounds=bounds).x)


def _rows(problem: PairProblem) -> tuple[np.ndarray, ...]:
    p = problem
    return p.chunks, p.user_start, p.left, p.right, p.outcome, p.weight


def dirichlet_moments(
    alpha: Float[np.ndarray, " groups"],
) -> tuple[Float[np.ndarray, " groups"], Float[np.ndarray, " groups"], Float[np.ndarray, "groups groups"]]:
    """Mean of w, mean of log w and covariance of w."""
    total = alpha.sum()
    mean = alpha / total
    return mean, digamma(alpha) - digamma(total), (np.diag(mean) - np.outer(mean, mean)) / (total + 1.0)


def dirichlet_draws(alpha: Float[np.ndarray, " groups"], size: int) -> Float[np.ndarray, "draws groups"]:
    """Logarithms of quasi-random Dirichlet draws.

    The gamma variates are made as gamma(a + 1) U^(1/a), in logarithms, so that small alphas do not underflow.
    """
    n_groups = len(alpha)
    uniform = qmc.Sobol(2 * n_groups, seed=np.random.default_rng(0)).random(size)
    uniform = np.clip(uniform, 1e-10, 1.0 - 1e-10)
    logs = np.log(gammaincinv(alpha + 1.0, uniform[:, :n_groups])) + np.log(uniform[:, n_groups:]) / alpha
    logs -= np.logaddexp.reduce(logs, axis=1)[:, None]
    return logs


def _draws(alpha: Float[np.ndarray, " groups"], size: int) -> tuple[np.ndarray, np.ndarray]:
    """Log weights of Dirichlet draws with their log density below and the density's constant last; normal draws."""
    n_groups, logs = len(alpha), dirichlet_draws(alpha, size)
    constant = float(gammaln(alpha.sum()) - gammaln(alpha).sum())
    density = constant + logs @ alpha
    normal = norm.ppf(np.clip(qmc.Sobol(max(n_groups - 1, 1), seed=np.random.default_rng(1)).random(size), TINY, 1.0))
    draws = np.vstack([logs.T, density, np.full(size, constant)])
    return np.ascontiguousarray(draws), np.ascontiguousarray(np.clip(normal, -8.0, 8.0).T)
