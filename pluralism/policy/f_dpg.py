"""Bring a policy towards a target by minimising an f-divergence, exactly or from samples."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from pluralism.calibration.text import json_ready
from pluralism.errors import ConvergenceWarning, DataError, UsageError
from pluralism.policy.certificate import Certificate
from pluralism.policy.finite_policy import FinitePolicy
from pluralism.random import RNG, as_generator
from pluralism.solvers.f_divergences import F_DIVERGENCES, FDivergence, divergence_values, pseudo_reward
from pluralism.solvers.f_dpg import descend_features, descend_logits, sampled_gradient
from pluralism.solvers.log_policies import log_normalise

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Divergence", "SampledDescent", "f_divergence", "f_dpg", "f_dpg_sampled"]

Divergence = Literal["reverse_kl", "forward_kl", "total_variation", "jensen_shannon", "reverse_chi2", "forward_chi2"]

STATIONARY = 1e-5


def f_divergence(
    policy: FinitePolicy, target: FinitePolicy, divergence: Divergence = "jensen_shannon"
) -> Float[np.ndarray, " prompts"]:
    """An f-divergence of a policy from a target, of each prompt.

    Parameters
    ----------
    policy, target : FinitePolicy
        Over the same candidates.
    divergence : str
        "reverse_kl", KL(q||t); "forward_kl", KL(t||q); "total_variation"; "jensen_shannon" (not halved);
        "reverse_chi2", the sum of (q - t)^2 / t; "forward_chi2", that of (q - t)^2 / q.
    """
    _same_candidates(policy, target)
    return divergence_values(_find(divergence), policy.log_probs, target.log_probs)


def f_dpg(
    target: FinitePolicy,
    *,
    divergence: Divergence = "jensen_shannon",
    features: ArrayLike | None = None,
    max_iter: int = 2000,
) -> FinitePolicy:
    r"""Minimise an f-divergence from a target by exact gradients, starting from the reference.

    The gradient is :math:`E_q f'(q/t) \nabla \log q`: a policy gradient with the pseudo-reward :math:`-f'(q/t)`. A free
    softmax reaches the target whatever the divergence. Policies that are log-linear in features,
    :math:`q \propto p\,e^{\theta \cdot \phi}` with one :math:`\theta` for all prompts, may not be able to, and then the
    divergence decides what is kept: "reverse_kl" drops modes, "forward_kl" covers them all.

    Parameters
    ----------
    target : FinitePolicy
        Such as `kl_optimal` (what RLHF aims at), `binary_target` or `moment_target`; any policy.
    divergence : str
        See `f_divergence`. Total variation has a kink at its minimum: its descent is slow.
    features : array of shape (prompts, candidates, dim), optional
        Left out, every logit is free.
    max_iter : int

    Returns
    -------
    FinitePolicy
        Its certificate has the divergence (negative, for it is minimised) beside the bound 0, and the norm of the
        gradient: with features the gap is what the class of policies cannot reach.

    Raises
    ------
    DataError
        If the target leaves out candidates of the reference, and the divergence is then infinite.

    References
    ----------
    D. Go et al., "Aligning language models with preferences through f-divergence minimization", arXiv:2302.08215.
    """
    f, utilities = _find(divergence), target.utilities
    start = utilities.log_reference
    _refuse_infinite(f, target)
    if features is None:
        found = descend_logits(start, target.log_probs, f, max_iter=max_iter)
    else:
        phi = np.asarray(features, dtype=float)
        if phi.ndim != 3 or phi.shape[:2] != start.shape or not np.isfinite(phi[utilities.mask]).all():
            raise DataError(
                f"Features of shape {phi.shape} do not fit {start.shape} candidates, or are not finite.",
                fix="Give an array of shape (prompts, candidates, dim).",
            )
        phi = np.where(utilities.mask[..., None], phi, 0.0)
        found = descend_features(start, phi, target.log_probs, f, weights=utilities.prompt_weights, max_iter=max_iter)
    reached = float(utilities.prompt_weights @ divergence_values(f, found.log_policy, target.log_probs))
    if found.stationarity > STATIONARY * max(1.0, reached):
        warnings.warn(
            f"The descent stopped after {found.n_iter} steps at a residual of {found.stationarity:.2g}.",
            ConvergenceWarning,
            stacklevel=2,
        )
    certificate = Certificate(
        f"max -D, D = {f.formula}", np.array([-reached]), np.zeros(1), stationarity=float(found.stationarity)
    )
    kind = "free softmax" if features is None else f"{len(found.coef)} features"
    return FinitePolicy(found.log_policy, utilities, f"f-dpg ({divergence}, {kind}) to {target.method}", certificate)


@dataclass(frozen=True, eq=False, repr=False)
class SampledDescent:
    """A run of `f_dpg_sampled`.

    Attributes
    ----------
    policy : FinitePolicy
        The last one.
    divergence : array of shape (steps + 1,)
        Exact mean divergence before the first step and after each.
    partition_error : array of shape (steps,)
        Largest distance over prompts of the estimated log Z from the exact one.
    """

    policy: FinitePolicy
    divergence: Float[np.ndarray, " steps_plus_1"]
    partition_error: Float[np.ndarray, " steps"]

    def to_frame(self) -> pa.Table:
        """Columns `step, divergence`."""
        import pyarrow as pa

        return pa.table({"step": np.arange(len(self.divergence)), "divergence": self.divergence})

    def to_json(self, *, indent: int | None = None) -> str:
        """`divergence`, and the policy's summary, as JSON."""
        document = {"policy": self.policy.summary(), "divergence": self.divergence}
        return json.dumps(json_ready(document), allow_nan=False, ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        first, last = self.divergence[[0, -1]]
        head = f"SampledDescent({len(self.divergence) - 1:,} steps, divergence {first:.4g} to {last:.4g})"
        return f"{head}\n{self.policy!r}"


def f_dpg_sampled(
    target: FinitePolicy,
    *,
    divergence: Divergence = "jensen_shannon",
    proposal: Literal["policy", "reference"] = "policy",
    n_samples: int = 16,
    n_steps: int = 500,
    learning_rate: float = 0.5,
    baseline: bool = True,
    known_partition: bool = False,
    rng: RNG = 0,
) -> SampledDescent:
    r"""Minimise an f-divergence by stochastic gradients, as with a language model, whose outputs can only be sampled.

    Each step draws candidates of every prompt from a proposal b, weighs them by q/b, and subtracts from their
    pseudo-reward a baseline: its running mean. The target counts as known up to a factor: its Z is estimated by the
    running mean of target over b. With the exact Z each gradient is without bias, for the baseline is from earlier
    steps.

    Parameters
    ----------
    target : FinitePolicy
    divergence : str
        See `f_divergence`.
    proposal : {"policy", "reference"}
        Whence samples come: the current policy, or always the reference.
    n_samples, n_steps : int
        Samples of each prompt in a step, and steps.
    learning_rate : float
        Of plain gradient descent on logits.
    baseline : bool
        Whether a baseline is subtracted.
    known_partition : bool
        Whether to use the target's exact Z in the place of an estimate.
    rng : int, Generator or None

    References
    ----------
    D. Go et al., arXiv:2302.08215, algorithm 1.
    """
    f, utilities = _find(divergence), target.utilities
    if proposal not in ("policy", "reference"):
        raise UsageError(f"proposal={proposal!r} is not possible.", fix='It is "policy" or "reference".')
    if n_samples < 1 or n_steps < 1 or not (np.isfinite(learning_rate) and learning_rate > 0):
        raise UsageError(
            f"n_samples={n_samples!r}, n_steps={n_steps!r}, learning_rate={learning_rate!r} are not possible.",
            fix="Give at least 1 sample, 1 step and a positive rate.",
        )
    _refuse_infinite(f, target)
    generator = as_generator(rng, "f-dpg")
    there, weights = utilities.mask, utilities.prompt_weights
    log_t, log_q = target.log_probs, utilities.log_reference
    mass, seen = np.zeros(len(there)), 0
    mean_reward = np.zeros(len(there))
    path, errors = [float(weights @ divergence_values(f, log_q, log_t))], []
    for step in range(n_steps):
        log_b = log_q if proposal == "policy" else utilities.log_reference
        noise = generator.gumbel(size=(n_samples, *log_b.shape))
        samples = np.argmax(log_b + noise, axis=2).T
        drawn_b, drawn_q, drawn_t = (np.take_along_axis(each, samples, axis=1) for each in (log_b, log_q, log_t))
        mass, seen = mass + np.exp(drawn_t - drawn_b).sum(axis=1), seen + n_samples
        # until a draw has hit the target there is no estimate
        log_z = np.log(np.where(mass > 0, mass / seen, 1.0)) * (not known_partition)
        estimated = log_t - log_z[:, None]
        gradient = sampled_gradient(f, log_q, estimated, log_b, samples, mean_reward if baseline else 0.0)
        drawn = np.take_along_axis(pseudo_reward(f, log_q, estimated), samples, axis=1)
        mean_reward += (np.mean(np.exp(drawn_q - drawn_b) * drawn, axis=1) - mean_reward) / (step + 1.0)
        log_q = log_normalise(np.where(there, log_q - learning_rate * gradient, -np.inf))
        path.append(float(weights @ divergence_values(f, log_q, log_t)))
        errors.append(float(np.abs(log_z).max()))
    certificate = Certificate(f"max -D, D = {f.formula}", np.array([-path[-1]]), np.zeros(1))
    method = f"f-dpg ({divergence}, {n_steps} sampled steps) to {target.method}"
    return SampledDescent(FinitePolicy(log_q, utilities, method, certificate), np.array(path), np.array(errors))


def _find(divergence: str) -> FDivergence:
    if divergence not in F_DIVERGENCES:
        raise UsageError(f"divergence={divergence!r} is not possible.", fix=f"It is one of {', '.join(F_DIVERGENCES)}.")
    return F_DIVERGENCES[divergence]


def _same_candidates(policy: FinitePolicy, target: FinitePolicy) -> None:
    if not np.array_equal(policy.utilities.items, target.utilities.items):
        raise DataError("The policies are over different candidates.", fix="Make both from the same utilities.")


def _refuse_infinite(f: FDivergence, target: FinitePolicy) -> None:
    start = target.utilities.log_reference
    infinite = np.flatnonzero(np.isinf(divergence_values(f, start, target.log_probs)))
    if len(infinite):
        finite = [
            name
            for name, other in F_DIVERGENCES.items()
            if np.isfinite(divergence_values(other, start, target.log_probs)).all()
        ]
        raise DataError(
            f"The target gives no probability to some candidates of the reference: {f.formula} is infinite.",
            where=f"prompt {target.utilities.prompts[infinite[0]]!r}",
            fix=f"Use a divergence that allows it: {', '.join(finite)}.",
        )
