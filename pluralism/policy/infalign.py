"""Policies for how they will be used: best-of-n at inference, or an adversary's worst-of-n."""

from __future__ import annotations

import warnings
from typing import get_args

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from pluralism.calibration import CDFCalibrator
from pluralism.errors import ConvergenceWarning, UsageError
from pluralism.policy.best_of_n import check_n
from pluralism.policy.certificate import Certificate
from pluralism.policy.finite_policy import FinitePolicy
from pluralism.policy.kl_budget import check_kl, span
from pluralism.policy.kl_optimal import check_beta, weighted_reward
from pluralism.policy.win_rate import reference_place
from pluralism.random import RNG, as_generator
from pluralism.social_choice.utilities import Utilities
from pluralism.solvers.infalign import (
    AlignedLevels,
    Inference,
    align_levels,
    align_levels_to_kl,
    inference_levels,
    inference_win_rate,
    win_rate_gradient,
)
from pluralism.solvers.kl_budget import tilt_to_kl
from pluralism.solvers.log_policies import expectation, kl_divergence
from pluralism.solvers.reward_levels import RewardLevels, mid_cdf, reward_levels
from pluralism.solvers.tilt import tilt

__all__ = ["calibrated_tilt", "infalign", "inference_aware_win_rate"]

Levels = Float[np.ndarray, "prompts levels"]

TILTED_STARTS = (-4.0, 4.0, 16.0)
RANDOM_SCALE = 3.0
SETTLED = 1e-6


def infalign(
    utilities: Utilities,
    *,
    n: float,
    inference: Inference = "best_of_n",
    beta: float | None = None,
    kl: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    n_starts: int = 8,
    rng: RNG = 0,
) -> FinitePolicy:
    r"""The policy q whose best (or worst) of n draws beats that of the reference most often, at a price for its KL.

    Maximises :math:`W(q) - \beta\,\mathrm{KL}(q \,\|\, p)`, with W the chance that T(q) has a higher reward than T(p),
    ties half, and T the best or worst of n. The optimum is a fixed point :math:`q \propto p\,e^{\Phi(q)/\beta}`, where
    :math:`\Phi` is a transform of the calibrated reward that depends on q itself: the fixed transforms of the paper
    (`calibrated_tilt`) come near it. Prompts are apart, and no increasing transform of a prompt's rewards matters.

    For the best of n the objective is concave: the certificate bounds what any policy could reach. For the worst of n
    it is not: several starts are tried on each prompt, the best is kept, a note says how far apart they ended, and the
    certificate's gap is against a loose bound. At n = 1 both are the win rate against the reference.

    Parameters
    ----------
    utilities : Utilities
    n : float
        At least 1.
    inference : {"best_of_n", "worst_of_n"}
    beta : float, optional
        Price of a nat of KL in units of probability, above 0. Either this or `kl`.
    kl : float, or array of shape (prompts,), optional
        The KL that each prompt's policy has. Transforms are compared at equal KL: their scales differ.
    weights : array of shape (groups,), optional
        Weights of the groups in the reward; left out, their shares.
    n_starts : int
        Starts for the worst of n: the reference, some tilts of it, and random ones. The best of n has one optimum.
    rng : int, Generator or None
        For the random starts.

    References
    ----------
    A. Balashankar et al., "InfAlign: Inference-aware language model alignment", arXiv:2412.19792.

    Examples
    --------
    >>> utilities = Utilities.from_matrix([np.arange(200.0)])
    >>> policy = infalign(utilities, n=4, kl=0.25)
    >>> inference_aware_win_rate(policy, n=4).round(4)
    array([0.7967])
    >>> identity = calibrated_tilt(utilities, kl=0.25)
    >>> inference_aware_win_rate(identity, n=4).round(4)
    array([0.7303])
    """
    n = _check(n, inference)
    price, budget = _price_or_budget(utilities, beta, kl)
    levels = reward_levels(weighted_reward(utilities, weights), utilities.log_reference)
    p = levels.log_mass
    notes: tuple[str, ...] = ()

    def solve(start: Levels | None) -> AlignedLevels:
        if budget is None:
            return align_levels(p, price, n, inference, start=start)
        return align_levels_to_kl(p, budget, n, inference, start=start)

    if inference == "best_of_n" or n == 1:
        found = solve(None)
    else:
        if n_starts < 1:
            raise UsageError(f"n_starts={n_starts!r} is not possible.", fix="One start at least is needed.")
        tried = [solve(start) for start in _starts(levels, n_starts, rng)]
        found, spread = _best(tried, p, n, price if budget is None else 0.0)
        notes = (
            f"Worst-of-n has local optima: {n_starts} starts ended within {spread.max():.2g} of each other by the "
            "objective; the best is kept.",
        )
    if found.residual.max() > SETTLED:
        warnings.warn(
            f"The fixed point is met to {found.residual.max():.2g} alone; the certificate says what that leaves open.",
            ConvergenceWarning,
            stacklevel=2,
        )
    certificate = _certificate(found, p, n, inference, price, budget)
    given = f"beta={price:g}" if budget is None else f"KL {span(budget)}"
    name = "best" if inference == "best_of_n" else "worst"
    return FinitePolicy(
        levels.spread(found.log_mass), utilities, f"infalign for {name}-of-{n:g}, {given}", certificate, notes
    )


def calibrated_tilt(
    utilities: Utilities,
    *,
    t: float | None = None,
    beta: float | None = None,
    kl: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    calibrator: CDFCalibrator | None = None,
) -> FinitePolicy:
    r"""The KL-regularised optimum of a transform of the calibrated reward: calibrate, transform, tilt.

    A candidate's calibrated reward C is its chance to beat a draw of the reference, ties half. Without t the reward is
    C, and the policy has the most wins against the reference for its KL. With t it is
    :math:`\mathrm{sign}(t)\,e^{tC}`: t > 0 for best-of-n at inference, t < 0 for worst-of-n. No t is right for all n:
    the larger n, the larger t should be.

    Parameters
    ----------
    utilities : Utilities
    t : float, optional
        Not 0.
    beta : float, optional
        Price of a nat of KL, in units of the transformed reward, above 0. Either this or `kl`.
    kl : float, or array of shape (prompts,), optional
        Budget of each prompt's KL.
    weights : array of shape (groups,), optional
        Weights of the groups in the reward; left out, their shares.
    calibrator : CDFCalibrator, optional
        Fitted to weighted rewards of reference samples for each prompt; left out, rewards are placed among the
        candidates themselves with their reference probabilities.

    References
    ----------
    A. Balashankar et al., arXiv:2412.19792, section 4 (InfAlign-CTRL).
    """
    price, budget = _price_or_budget(utilities, beta, kl)
    if t is not None and not (np.isfinite(t) and t != 0):
        raise UsageError(f"t={t!r} is not possible.", fix="It is a finite number but 0; leave it out for no transform.")
    if calibrator is None:
        place = reference_place(utilities, weights)
    else:
        place = calibrator.transform(weighted_reward(utilities, weights)[..., None])[..., 0]
    reward = place if t is None else np.sign(t) * np.exp(t * place)
    if budget is None:
        log_probs = tilt(reward, utilities.log_reference, price)[0]
        given = f"beta={price:g}"
    else:
        log_probs = tilt_to_kl(reward, utilities.log_reference, budget)[0]
        given = f"KL {span(budget)}"
    name = "identity" if t is None else f"exp, t={t:g}"
    return FinitePolicy(log_probs, utilities, f"calibrated tilt ({name}), {given}")


def inference_aware_win_rate(
    policy: FinitePolicy, *, n: float, inference: Inference = "best_of_n", weights: ArrayLike | None = None
) -> Float[np.ndarray, " prompts"]:
    """Chance that the best (worst) of n draws of a policy beats the best (worst) of n of the reference, ties half.

    Parameters
    ----------
    policy : FinitePolicy
    n, inference, weights
        As in `infalign`.
    """
    n = _check(n, inference)
    utilities = policy.utilities
    levels = reward_levels(weighted_reward(utilities, weights), utilities.log_reference)
    return inference_win_rate(levels.mass_of(policy.log_probs), levels.log_mass, n, inference)


def _check(n: float, inference: str) -> float:
    if inference not in get_args(Inference):
        raise UsageError(f"inference={inference!r} is not possible.", fix='It is "best_of_n" or "worst_of_n".')
    return check_n(n)


def _price_or_budget(
    utilities: Utilities, beta: float | None, kl: ArrayLike | None
) -> tuple[float, float | Float[np.ndarray, " prompts"] | None]:
    if beta is not None and kl is None:
        return check_beta(beta, positive=True), None
    if kl is not None and beta is None:
        return np.nan, check_kl(kl, utilities.n_prompts)
    raise UsageError("A policy needs a price of KL or a budget for it.", fix="Give one of beta and kl.")


def _starts(levels: RewardLevels, n_starts: int, rng: RNG) -> list[Levels]:
    p = levels.log_mass
    place = mid_cdf(p)
    generator = as_generator(rng, "infalign")
    starts = [p, *(tilt(strength * place, p, 1.0)[0] for strength in TILTED_STARTS)][:n_starts]
    while len(starts) < n_starts:
        starts.append(tilt(RANDOM_SCALE * generator.normal(size=p.shape), p, 1.0)[0])
    return starts


def _best(
    tried: list[AlignedLevels], p: Levels, n: float, price: float
) -> tuple[AlignedLevels, Float[np.ndarray, " prompts"]]:
    """Of each prompt the worst-of-n start with the best objective, and how far apart the starts are by it."""
    values = np.stack(
        [
            inference_win_rate(each.log_mass, p, n, "worst_of_n") - price * kl_divergence(each.log_mass, p)
            for each in tried
        ]
    )
    pick, rows = np.argmax(values, axis=0), np.arange(len(p))
    log_mass, beta, residual = (
        np.stack([getattr(each, name) for each in tried])[pick, rows] for name in ("log_mass", "beta", "residual")
    )
    return AlignedLevels(log_mass, beta, residual, max(each.n_iter for each in tried)), np.ptp(values, axis=0)


def _certificate(
    found: AlignedLevels,
    p: Levels,
    n: float,
    inference: Inference,
    price: float,
    budget: float | Float[np.ndarray, " prompts"] | None,
) -> Certificate:
    """Against a linear function that is nowhere below the win rate, and whose optimum is a tilt."""
    reached = inference_win_rate(found.log_mass, p, n, inference)
    place = mid_cdf(inference_levels(p, n, inference))
    if inference == "best_of_n":
        # the tangent of a concave function
        above = win_rate_gradient(found.log_mass, place, n, inference)
        offset = reached - expectation(found.log_mass, above)
    else:
        # S^n <= S: one draw against the worst of n
        above, offset = place, np.zeros(len(p))
    name = f"W_{'best' if inference == 'best_of_n' else 'worst'}-of-{n:g}(q)"
    stationarity = float(found.residual.max())
    if budget is None:
        value = tilt(above, p, price)[1]
        primal = reached - price * kl_divergence(found.log_mass, p)
        return Certificate(f"max {name} - beta KL(q||p)", primal, offset + value, stationarity=stationarity)
    value = expectation(tilt_to_kl(above, p, budget)[0], above)
    return Certificate(f"max {name} subject to KL(q||p) <= budget", reached, offset + value, stationarity=stationarity)
