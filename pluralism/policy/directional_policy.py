"""One policy for every direction over attributes: tilted, or best-of-n, by what a direction asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from pluralism.errors import UsageError
from pluralism.models.direction_prompt import direction_prompt
from pluralism.models.pareto import Front, candidate_pools, front_of_means
from pluralism.policy.best_of_n import best_of_n, check_n
from pluralism.policy.finite_policy import FinitePolicy
from pluralism.policy.kl_budget import check_kl, kl_budget
from pluralism.policy.kl_optimal import check_beta, kl_optimal
from pluralism.random import RNG
from pluralism.social_choice.utilities import Utilities
from pluralism.solvers.sphere import cone_directions

if TYPE_CHECKING:
    from pluralism.data import Items
    from pluralism.models.direction_choice import DirectionChoice

__all__ = ["DirectionalPolicy", "attribute_utilities", "mean_attributes", "spaced_directions", "unit_directions"]

N_SHOWN = 9


@dataclass(frozen=True, kw_only=True)
class DirectionalPolicy:
    """A policy conditioned on a direction v, by the reward v . attributes.

    Parameters
    ----------
    attributes : Utilities
        Of candidates, attributes in the place of groups, in comparable units; see `attribute_utilities`.
    beta, kl, n : float
        One of them: the price of a nat of KL, a budget of mean KL, or the best of n draws. With a budget every
        direction pays the same; with a price those along which candidates differ more pay more.

    Examples
    --------
    >>> values = np.random.default_rng(0).normal(size=(200, 8, 2))
    >>> policy = DirectionalPolicy(attributes=Utilities(values, groups=["helpfulness", "verbosity"]), kl=0.5)
    >>> policy.at([1.0, -0.5]).group_utilities.round(2)
    array([ 0.76, -0.4 ])
    """

    attributes: Utilities
    beta: float | None = None
    kl: float | None = None
    n: float | None = None

    def __post_init__(self) -> None:
        if sum(each is not None for each in (self.beta, self.kl, self.n)) != 1:
            raise UsageError("A directional policy has one strength.", fix="Give one of beta, kl and n.")
        if self.beta is not None:
            check_beta(self.beta)
        if self.kl is not None:
            check_kl(self.kl)
        if self.n is not None:
            check_n(self.n)

    @classmethod
    def from_model(
        cls,
        model: DirectionChoice,
        items: Items,
        *,
        log_reference: ArrayLike | None = None,
        beta: float | None = None,
        kl: float | None = None,
        n: float | None = None,
    ) -> Self:
        """By the attributes of a fitted model, such as `DirectionalReward`, in its coordinates.

        Parameters
        ----------
        model : DirectionChoice
        items : Items
            Candidates with features; those of one prompt are a pool.
        log_reference : array of shape (items,), optional
            Log-probabilities of the items under the reference policy; uniform in each pool by default.
        """
        return cls(attributes=attribute_utilities(model, items, log_reference=log_reference), beta=beta, kl=kl, n=n)

    def at(self, direction: ArrayLike) -> FinitePolicy:
        """The policy for a direction over the attributes (any length but 0; it is normalised)."""
        v = unit_directions(direction, self.attributes.groups)[0]
        if self.beta is not None:
            policy = kl_optimal(self.attributes, beta=self.beta, weights=v)
        elif self.kl is not None:
            policy = kl_budget(self.attributes, kl=self.kl, weights=v)
        else:
            policy = best_of_n(self.attributes, self.n or 1.0, weights=v)
        return replace(policy, method=f"direction ({', '.join(f'{x:.2f}' for x in v)}), {policy.method}")

    def system_prompt(self, direction: ArrayLike, *, persona: str = "You are a helpful assistant.") -> str:
        """A direction as a language model conditioned on it reads it; see `direction_prompt`."""
        v = unit_directions(direction, self.attributes.groups)[0]
        return direction_prompt(v, self.attributes.groups, persona=persona)

    def front(
        self,
        directions: ArrayLike,
        *,
        values: ArrayLike | None = None,
        n_bootstrap: int = 500,
        level: float = 0.95,
        rng: RNG = 0,
    ) -> Front:
        """Expected attributes under the policy of each direction, and which are on the Pareto front.

        Parameters
        ----------
        directions : array of shape (directions, attributes)
        values : array of shape (prompts, candidates, attributes), optional
            What is averaged: by default the attributes by which policies are made, an upper bound of what people would
            see; for an unbiased front, ratings that those were not learnt from.
        n_bootstrap, level, rng
            As in `pluralism.models.pareto.front`.
        """
        unit = unit_directions(directions, self.attributes.groups)
        shown = self.attributes.values if values is None else np.asarray(values, dtype=float)
        if shown.shape != self.attributes.values.shape:
            raise UsageError(
                f"Values of shape {shown.shape} do not fit attributes of shape {self.attributes.values.shape}.",
                fix="Give one for each prompt, candidate and attribute.",
            )
        taken = np.stack([mean_attributes(self.at(v).log_probs, shown) for v in unit])
        return front_of_means(
            taken,
            directions=unit,
            attributes=list(self.attributes.groups),
            reference=mean_attributes(self.attributes.log_reference, shown).mean(axis=0),
            n_bootstrap=n_bootstrap,
            level=level,
            rng=rng,
        )


def attribute_utilities(model: DirectionChoice, items: Items, *, log_reference: ArrayLike | None = None) -> Utilities:
    """Candidates of each prompt with a model's attributes, in its coordinates, in the place of groups' utilities.

    Parameters
    ----------
    model : DirectionChoice
        Fitted.
    items : Items
        Candidates with features; those of one prompt are a pool.
    log_reference : array of shape (items,), optional
        Log-probabilities under the reference policy; uniform in each pool by default.
    """
    return Utilities.from_items(
        model.coordinates(items),
        candidate_pools(items),
        log_reference=log_reference,
        groups=model.attributes_,
        candidates=items.ids.to_pylist(),
    )


def unit_directions(directions: ArrayLike, names: Sequence[str]) -> Float[np.ndarray, "directions attributes"]:
    """Directions, or a single one, at length 1."""
    v = np.atleast_2d(np.asarray(directions, dtype=float))
    if v.ndim != 2 or v.shape[1] != len(names) or not np.isfinite(v).all() or not v.any(axis=1).all():
        raise UsageError(
            f"Directions of shape {v.shape} do not fit {len(names)} attributes, or one is 0.",
            fix=f"Give one number, of either sign, for each of {', '.join(names)}; not all 0.",
        )
    return v / np.linalg.norm(v, axis=1, keepdims=True)


def mean_attributes(
    log_policy: Float[np.ndarray, "prompts candidates"], values: Float[np.ndarray, "prompts candidates attributes"]
) -> Float[np.ndarray, "prompts attributes"]:
    """Expected attributes of each prompt."""
    return np.einsum("xy,xyk->xk", np.exp(log_policy), values)


def spaced_directions(
    axis: Float[np.ndarray, " attributes"], angle: float, *, rng: np.random.Generator, n: int = N_SHOWN
) -> Float[np.ndarray, "directions attributes"]:
    """Directions that show a cone: evenly spaced over it for two attributes, drawn from it for more.

    Parameters
    ----------
    axis : array of shape (attributes,)
        Of length 1.
    angle : float
        Half the opening in radians.
    """
    k = len(axis)
    if k == 1:
        return axis[None]
    if k > 2:
        return cone_directions(n, k, rng=rng, centre=axis, angle=angle)
    turn = np.linspace(-angle, angle, n, endpoint=angle < np.pi)
    return np.cos(turn)[:, None] * axis + np.sin(turn)[:, None] * np.array([-axis[1], axis[0]])
