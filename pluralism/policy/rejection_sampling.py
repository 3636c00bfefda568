"""Rejection-sampling fine-tuning on candidate pools: a policy that learns to follow directions over attributes."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from pluralism.calibration.text import format_table, json_ready
from pluralism.errors import ConvergenceWarning, DataError, UsageError
from pluralism.models.pareto import Front, front_of_means
from pluralism.models.settings import is_whole
from pluralism.policy.directional_policy import mean_attributes, spaced_directions, unit_directions
from pluralism.policy.finite_policy import FinitePolicy
from pluralism.random import RNG, as_seed
from pluralism.social_choice.utilities import Utilities
from pluralism.solvers.best_of_n import best_of_n_policy
from pluralism.solvers.conditional_ranker import conditional_log_probs, fit_conditional_ranker
from pluralism.solvers.log_policies import kl_divergence
from pluralism.solvers.sphere import cone_directions

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ConditionalRanker", "RejectionSampling", "rejection_sampling"]

FRESH = 10
"""Streams of random numbers: one for the directions that are shown, then one a round."""


@dataclass(frozen=True, eq=False)
class ConditionalRanker:
    r"""A policy :math:`q(y \mid v) \propto p(y)\,e^{\phi(y) \cdot (\theta_0 + \Theta v)}` for every direction v.

    Attributes
    ----------
    coef : array of shape (1 + attributes, dim)
        theta_0, then a row of Theta for each attribute; 0 is the reference.
    """

    coef: Float[np.ndarray, "terms dim"]

    def policy(self, attributes: Utilities, features: ArrayLike, direction: ArrayLike) -> FinitePolicy:
        """The policy of a direction on some candidates.

        Parameters
        ----------
        attributes : Utilities
            Attributes in the place of groups.
        features : array of shape (prompts, candidates, dim)
        direction : array of shape (attributes,)
        """
        v = unit_directions(direction, attributes.groups)
        phi = _features(attributes, features)
        log_probs = conditional_log_probs(
            self.coef, attributes.log_reference, phi, np.broadcast_to(v, (attributes.n_prompts, *v.shape))
        )
        return FinitePolicy(log_probs[:, 0], attributes, f"ranker at ({', '.join(f'{x:.2f}' for x in v[0])})")


@dataclass(frozen=True, eq=False, repr=False)
class RejectionSampling:
    """A run of `rejection_sampling`; entry 0 of everything is the reference, before the first round.

    Attributes
    ----------
    rankers : tuple of ConditionalRanker
    fronts : tuple of pluralism.models.pareto.Front
        Of the expected attributes by direction.
    reward : array of shape (rounds + 1, directions)
        Mean of v . attributes, of each direction that is shown.
    kl : array of shape (rounds + 1, directions)
        Mean KL from the reference.
    attributes : tuple of str
    """

    rankers: tuple[ConditionalRanker, ...]
    fronts: tuple[Front, ...]
    reward: Float[np.ndarray, "rounds_plus_1 directions"]
    kl: Float[np.ndarray, "rounds_plus_1 directions"]
    attributes: tuple[str, ...]

    @property
    def ranker(self) -> ConditionalRanker:
        """That of the last round."""
        return self.rankers[-1]

    @property
    def hypervolume(self) -> Float[np.ndarray, " rounds_plus_1"]:
        """Of the front of each round, above the reference's mean attributes."""
        return np.array([front.hypervolume for front in self.fronts])

    def to_frame(self) -> pa.Table:
        """One row a round and direction: `round, reward, kl, on_front`, the direction, and the mean attributes."""
        import pyarrow as pa

        rounds, directions = self.reward.shape
        columns: dict[str, Any] = {
            "round": np.repeat(np.arange(rounds), directions),
            "reward": self.reward.ravel(),
            "kl": self.kl.ravel(),
            "on_front": np.concatenate([front.on_front for front in self.fronts]),
        }
        for k, name in enumerate(self.attributes):
            columns[f"direction_{name}"] = np.concatenate([front.directions[:, k] for front in self.fronts])
            columns[f"mean_{name}"] = np.concatenate([front.mean[:, k] for front in self.fronts])
        return pa.table(columns)

    def to_json(self, *, indent: int | None = None) -> str:
        """`attributes`, `hypervolume`, and the rows of `to_frame`, as JSON."""
        document = {
            "attributes": self.attributes,
            "hypervolume": self.hypervolume,
            "rows": self.to_frame().to_pylist(),
        }
        return json.dumps(json_ready(document), allow_nan=False, ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        columns = {
            "round": [str(i) for i in range(len(self.rankers))],
            "hypervolume": self.hypervolume.tolist(),
            "reward": self.reward.mean(axis=1).tolist(),
            "KL": self.kl.mean(axis=1).tolist(),
        }
        return format_table(columns, digits=3)


def rejection_sampling(
    attributes: Utilities,
    *,
    features: ArrayLike | None = None,
    n: int = 16,
    n_rounds: int = 4,
    centre: ArrayLike | None = None,
    angle: float = np.pi / 4,
    directions_per_prompt: int = 8,
    target: Literal["samples", "exact"] = "samples",
    penalty: float = 1e-3,
    shown: ArrayLike | None = None,
    evaluation: tuple[Utilities, ArrayLike | None] | None = None,
    n_bootstrap: int = 200,
    rng: RNG = 0,
) -> RejectionSampling:
    r"""Preference-conditioned rejection-sampling fine-tuning, with a ranker of fixed candidates as the policy.

    In each round every prompt x meets some directions v, drawn from a cone; of n draws from the last round's
    :math:`q(y \mid x, v)` the one with the most v . attributes is kept; and the ranker is fitted anew to imitate what
    was kept, given x and v. A ranker that could imitate perfectly would after t rounds be the best of :math:`n^t` draws
    of the reference: what it generalises, and the penalty, set the end of that.

    Parameters
    ----------
    attributes : Utilities
        Attributes in the place of groups, in comparable units, as from `attribute_utilities`.
    features : array of shape (prompts, candidates, dim), optional
        What the ranker sees; the attributes themselves by default.
    n : int
        Draws of which the best is kept.
    n_rounds : int
    centre : array of shape (attributes,), optional
        Axis of the cone; the first attribute by default.
    angle : float
        Half the opening of the cone in radians, at most pi: any direction. Uniform inside, for any number of
        attributes.
    directions_per_prompt : int
        Drawn anew each round.
    target : {"samples", "exact"}
        Whether one of n draws is imitated, or the whole distribution of the best of n: the same in the mean.
    penalty : float
        Of the squared coefficients on standardised features, above 0: a ranker that could imitate perfectly has none.
    shown : array of shape (directions, attributes), optional
        Directions for fronts; by default nine, evenly spaced over the cone for two attributes, drawn from it for more.
    evaluation : (Utilities, features or None), optional
        Other prompts for fronts, rewards and KL: attributes (may be ratings by others) and what the ranker sees, by
        default these attributes. Left out, the prompts that are trained on.
    n_bootstrap : int
        Draws for the bands of fronts.
    rng : int, Generator or None

    References
    ----------
    H. Wang et al., "Arithmetic control of LLMs for diverse user preferences", arXiv:2402.18571, algorithm 1. The paper
    starts from a policy that already follows directions a little; here the start is the reference.

    Examples
    --------
    >>> pools = Utilities(np.random.default_rng(0).normal(size=(100, 12, 2)), groups=["help", "brevity"])
    >>> run = rejection_sampling(pools, n=4, n_rounds=2)
    >>> bool(np.all(np.diff(run.hypervolume) > 0))
    True
    """
    names, k = attributes.groups, attributes.n_groups
    _check(n, n_rounds, directions_per_prompt, angle, penalty, target)
    phi = _features(attributes, features)
    judged, judged_features = (attributes, phi) if evaluation is None else evaluation
    judged_phi = phi if evaluation is None else _features(judged, judged_features)
    if judged.groups != names or judged_phi.shape[2] != phi.shape[2]:
        raise DataError(
            "The evaluation has other attributes or features than the training.", fix="Give the same ones, in order."
        )
    seed = as_seed(rng)
    axis = unit_directions(np.eye(k)[0] if centre is None else centre, names)[0]
    axes = unit_directions(
        spaced_directions(axis, angle, rng=np.random.default_rng([seed, 0])) if shown is None else shown, names
    )
    scale = _spread(attributes, phi)
    coef = np.zeros((1 + k, phi.shape[2]))
    rankers = [ConditionalRanker(coef)]
    for round_ in range(n_rounds):
        generator = np.random.default_rng([seed, FRESH + round_])
        count = attributes.n_prompts * directions_per_prompt
        v = cone_directions(count, k, rng=generator, centre=axis, angle=angle)
        v = v.reshape(attributes.n_prompts, directions_per_prompt, k)
        log_q = conditional_log_probs(rankers[-1].coef, attributes.log_reference, phi, v)
        reward = np.einsum("xyk,xmk->xmy", attributes.values, v)
        kept = _best_of_draws(log_q, reward, n, generator) if target == "samples" else _best_exactly(log_q, reward, n)
        found = fit_conditional_ranker(
            rankers[-1].coef * scale, attributes.log_reference, phi / scale, v, kept, penalty=penalty
        )
        if not found.converged:
            warnings.warn(
                f"The ranker of round {round_ + 1} was still moving after {found.n_iter} steps.",
                ConvergenceWarning,
                stacklevel=2,
            )
        rankers.append(ConditionalRanker(found.x.reshape(coef.shape) / scale))
    measured = [_measure(ranker, judged, judged_phi, axes) for ranker in rankers]
    reference = mean_attributes(judged.log_reference, judged.values).mean(axis=0)
    fronts = [
        front_of_means(
            taken,
            directions=axes,
            attributes=list(names),
            reference=reference,
            n_bootstrap=n_bootstrap,
            rng=np.random.default_rng([seed, 1]),
        )
        for taken, _, _ in measured
    ]
    return RejectionSampling(
        tuple(rankers),
        tuple(fronts),
        np.stack([reward for _, reward, _ in measured]),
        np.stack([kl for _, _, kl in measured]),
        names,
    )


def _check(n: int, n_rounds: int, per_prompt: int, angle: float, penalty: float, target: str) -> None:
    if not all(map(is_whole, (n, n_rounds, per_prompt))):
        raise UsageError(
            f"n={n!r}, n_rounds={n_rounds!r}, directions_per_prompt={per_prompt!r} are not possible.",
            fix="They are whole numbers of at least 1.",
        )
    if not 0 < angle <= np.pi or not (np.isfinite(penalty) and penalty > 0):
        raise UsageError(
            f"angle={angle!r}, penalty={penalty!r} are not possible.",
            fix="The angle is in radians, above 0 and at most pi; the penalty above 0.",
        )
    if target not in ("samples", "exact"):
        raise UsageError(f"target={target!r} is not possible.", fix='It is "samples" or "exact".')


def _features(attributes: Utilities, features: ArrayLike | None) -> Float[np.ndarray, "prompts candidates dim"]:
    phi = attributes.values if features is None else np.asarray(features, dtype=float)
    if phi.ndim != 3 or phi.shape[:2] != attributes.mask.shape or not np.isfinite(phi[attributes.mask]).all():
        raise DataError(
            f"Features of shape {phi.shape} do not fit {attributes.mask.shape} candidates, or are not finite.",
            fix="Give an array of shape (prompts, candidates, dim).",
        )
    return np.where(attributes.mask[..., None], phi, 0.0)


def _best_of_draws(
    log_q: Float[np.ndarray, "prompts directions candidates"],
    reward: Float[np.ndarray, "prompts directions candidates"],
    n: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, "prompts directions candidates"]:
    """One at the best of n draws, 0 elsewhere."""
    cdf = np.cumsum(np.exp(log_q), axis=2)
    best = np.full(log_q.shape[:2], -np.inf)
    pick = np.zeros(log_q.shape[:2], dtype=np.int64)
    last = np.argmax(np.where(log_q > -np.inf, np.arange(log_q.shape[2]), -1), axis=2)
    for _ in range(n):
        drawn = np.sum(rng.random((*best.shape, 1)) * cdf[..., -1:] >= cdf, axis=2)
        drawn = np.minimum(drawn, last)
        value = np.take_along_axis(reward, drawn[..., None], axis=2)[..., 0]
        pick, best = np.where(value > best, drawn, pick), np.maximum(value, best)
    return (np.arange(log_q.shape[2]) == pick[..., None]).astype(np.float64)


def _best_exactly(
    log_q: Float[np.ndarray, "prompts directions candidates"],
    reward: Float[np.ndarray, "prompts directions candidates"],
    n: int,
) -> Float[np.ndarray, "prompts directions candidates"]:
    flat = best_of_n_policy(reward.reshape(-1, reward.shape[2]), log_q.reshape(-1, log_q.shape[2]), n)
    return np.exp(flat).reshape(log_q.shape)


def _measure(
    ranker: ConditionalRanker,
    judged: Utilities,
    phi: Float[np.ndarray, "prompts candidates dim"],
    axes: Float[np.ndarray, "directions attributes"],
) -> tuple[
    Float[np.ndarray, "directions prompts attributes"],
    Float[np.ndarray, " directions"],
    Float[np.ndarray, " directions"],
]:
    log_q = conditional_log_probs(
        ranker.coef, judged.log_reference, phi, np.broadcast_to(axes, (judged.n_prompts, *axes.shape))
    )
    taken = np.stack([mean_attributes(log_q[:, m], judged.values) for m in range(len(axes))])
    reward = np.einsum("x,mxk,mk->m", judged.prompt_weights, taken, axes)
    kl = np.array([judged.prompt_weights @ kl_divergence(log_q[:, m], judged.log_reference) for m in range(len(axes))])
    return taken, reward, kl


def _spread(attributes: Utilities, phi: Float[np.ndarray, "prompts candidates dim"]) -> Float[np.ndarray, " dim"]:
    """Standard deviation of each feature within prompts, 1 where there is none."""
    p = np.exp(attributes.log_reference)
    centred = phi - np.einsum("xy,xyd->xd", p, phi)[:, None]
    variance = np.einsum("x,xy,xyd->d", attributes.prompt_weights, p, centred**2)
    return np.where(variance > 0, np.sqrt(np.where(variance > 0, variance, 1.0)), 1.0)
