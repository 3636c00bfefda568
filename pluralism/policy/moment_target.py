"""Distributional pluralism: the nearest policy that has given means, such as a population's shares of opinions."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike

from pluralism.errors import ConvergenceWarning, DataError, UsageError
from pluralism.policy.certificate import Certificate
from pluralism.policy.finite_policy import FinitePolicy
from pluralism.policy.kl_budget import Scope
from pluralism.social_choice.utilities import Utilities
from pluralism.solvers.moment_target import fit_moments, violations

__all__ = ["moment_target", "opinion_target"]

MISSED = 1e-8
"""Of the range of a feature."""


def moment_target(
    utilities: Utilities,
    features: ArrayLike,
    means: ArrayLike,
    *,
    scope: Scope = "global",
    names: Sequence[str] | None = None,
) -> FinitePolicy:
    r"""The policy nearest to the reference, in KL(t||p), of those under which features have given means.

    It is :math:`t \propto p\,e^{\lambda \cdot \phi}` with the :math:`\lambda` that minimises the convex
    :math:`\log Z(\lambda) - \lambda \cdot \mu`. Where a mean is on the edge of what is attainable, the policy comes as
    near to it as numbers go.

    Parameters
    ----------
    utilities : Utilities
    features : array of shape (prompts, candidates, moments)
        What is counted, such as whether a candidate takes a side or how long it is.
    means : array of shape (moments,), or (prompts, moments) with scope "per_prompt"
    scope : {"global", "per_prompt"}
        Whether the means are over all prompts, which then share one lambda, or hold on each prompt.
    names : sequence of str, optional
        Of the moments, for messages; left out, numbers.

    Raises
    ------
    DataError
        If no policy has these means: names the moment, and the means that can be had.

    References
    ----------
    M. Khalifa et al., "A distributional approach to controlled text generation", arXiv:2012.11635; T. Sorensen et al.,
    "A roadmap to pluralistic alignment", arXiv:2402.05070 (distributional pluralism).

    Examples
    --------
    >>> utilities = Utilities.from_matrix([[0.0, 0.0, 0.0]])
    >>> moment_target(utilities, [[[0.0], [1.0], [2.0]]], [1.5]).probs.round(4)
    array([[0.1162, 0.2676, 0.6162]])
    """
    phi = np.asarray(features, dtype=float)
    shape = utilities.log_reference.shape
    if phi.ndim != 3 or phi.shape[:2] != shape or phi.shape[2] == 0 or not np.isfinite(phi[utilities.mask]).all():
        raise DataError(
            f"Features of shape {phi.shape} do not fit {shape} candidates, or are not finite.",
            fix="Give an array of shape (prompts, candidates, moments).",
        )
    phi = np.where(utilities.mask[..., None], phi, 0.0)
    if scope not in ("global", "per_prompt"):
        raise UsageError(f"scope={scope!r} is not possible.", fix='It is "global" or "per_prompt".')
    mu, n_moments = np.asarray(means, dtype=float), phi.shape[2]
    many = (shape[0], n_moments)
    if not np.isfinite(mu).all() or (mu.shape != (n_moments,) and (scope == "global" or mu.shape != many)):
        raise DataError(
            f"Means of shape {mu.shape} do not fit {n_moments} moments, or are not finite.",
            fix="Give one for each moment; with scope='per_prompt' also one for each prompt and moment.",
        )
    labels = [str(k) for k in range(n_moments)] if names is None else [str(name) for name in names]
    if len(labels) != n_moments:
        raise UsageError(f"There are {n_moments} moments and {len(labels)} names.", fix="Give one name for each.")
    weights = utilities.prompt_weights if scope == "global" else None
    mu = np.broadcast_to(mu, (1 if scope == "global" else shape[0], n_moments))
    found = fit_moments(utilities.log_reference, phi, mu, weights)
    missed = np.flatnonzero(found.miss > MISSED)
    if len(missed):
        _refuse_unattainable(utilities.mask, phi, mu, weights, missed[:5], labels, utilities.prompts)
        warnings.warn(
            f"The means are attainable, but are missed by up to {found.miss.max():.2g} of a feature's range.",
            ConvergenceWarning,
            stacklevel=2,
        )
    certificate = Certificate(
        "max -KL(q||p) subject to E_q phi = mu", -found.primal, -found.dual, stationarity=float(found.miss.max())
    )
    return FinitePolicy(found.log_target, utilities, f"moment target ({scope})", certificate)


def opinion_target(
    utilities: Utilities,
    opinions: ArrayLike,
    proportions: ArrayLike,
    *,
    scope: Scope = "per_prompt",
    names: Sequence[str] | None = None,
) -> FinitePolicy:
    """The policy nearest to the reference that voices opinions as often as a population holds them.

    Within an opinion candidates keep the reference's proportions.

    Parameters
    ----------
    utilities : Utilities
    opinions : int array of shape (prompts, candidates)
        Code of the opinion that each candidate voices, -1 for none.
    proportions : array of shape (opinions,), or (prompts, opinions) with scope "per_prompt"
        Shares of the population, at least 0; they sum to at most 1, and what is left is for candidates without opinion.
    scope, names
        As in `moment_target`.

    Examples
    --------
    >>> utilities = Utilities.from_matrix([[0.0, 0.0, 0.0]], reference=[0.6, 0.2, 0.2])
    >>> opinion_target(utilities, [[0, 1, 1]], [0.3, 0.7]).probs.round(4)
    array([[0.3 , 0.35, 0.35]])
    """
    codes, shares = np.asarray(opinions), np.asarray(proportions, dtype=float)
    if codes.dtype.kind not in "iu" or codes.shape != utilities.log_reference.shape:
        raise DataError(
            f"Opinions are integers of shape {utilities.log_reference.shape}, not {codes.dtype} of {codes.shape}.",
            fix="Give a code for each prompt and candidate, -1 for no opinion.",
        )
    n = shares.shape[-1] if shares.ndim else 0
    if n == 0 or codes.max() >= n or codes.min() < -1 or (shares < 0).any():
        raise DataError(
            f"Opinions {int(codes.min())} to {int(codes.max())} do not fit {n} proportions.",
            fix="Codes go from 0, and each has a proportion of at least 0.",
        )
    return moment_target(utilities, codes[..., None] == np.arange(n), shares, scope=scope, names=names)


def _refuse_unattainable(
    mask: Bool[np.ndarray, "prompts candidates"],
    phi: Float[np.ndarray, "prompts candidates moments"],
    mu: Float[np.ndarray, "problems moments"],
    weights: Float[np.ndarray, " prompts"] | None,
    problems: np.ndarray,
    labels: list[str],
    prompts: tuple[str, ...],
) -> None:
    for problem in problems:
        rows = slice(None) if weights is not None else slice(problem, problem + 1)
        shares = np.ones(1) if weights is None else weights
        found = violations(mask[rows], phi[rows], mu[problem], shares)
        if found:
            place = "" if weights is not None else f"prompt {prompts[problem]!r}: "
            means = "; ".join(
                f"moment {labels[each.moment]!r} is asked to be {each.asked:.6g}, attainable is {each.low:.6g} to "
                f"{each.high:.6g}" + (", the other means as asked" if len(labels) > 1 else "")
                for each in found
            )
            raise DataError(
                "No policy over the candidates has these means.",
                where=place + means,
                fix="Ask for a mean within the range, or add candidates that have what is missing.",
            )
