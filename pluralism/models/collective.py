"""From a fitted model to what social choice and policies work on: utilities, ballots and win rates of its groups."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from pluralism.data.labels import encode_labels
from pluralism.errors import UsageError
from pluralism.random import RNG, as_generator

if TYPE_CHECKING:
    from pluralism.data import Items
    from pluralism.models.base import PreferenceModel
    from pluralism.models.membership import Membership
    from pluralism.social_choice import Profile, Utilities
    from pluralism.social_choice.utilities import Reference, Unit

__all__ = ["Of", "preference_matrix_of", "profile_of", "utilities_of"]

Of = Literal["groups", "users"]
"""Whose utilities or ballots: those of a model's groups, weighted by their sizes, or those of people, one each."""


def utilities_of(
    model: PreferenceModel,
    items: Items,
    of: Of,
    membership: Membership | None,
    unit: Unit,
    log_reference: ArrayLike | None,
    reference: Reference,
) -> Utilities:
    """See `PreferenceModel.utilities`."""
    from pluralism.social_choice.utilities import Utilities

    rewards, shares, names = _rewards(model, items, of, membership)
    codes, prompts = _prompts(items)
    made = Utilities.from_items(
        rewards,
        codes,
        log_reference=log_reference,
        shares=shares,
        groups=names,
        prompts=prompts,
        candidates=items.ids.to_pylist(),
        reference=reference,
    )
    return made.to_unit(unit)


def profile_of(
    model: PreferenceModel,
    items: Items,
    of: Of,
    membership: Membership | None,
    n_draws: int,
    tolerance: float,
    units: int,
    rng: RNG,
) -> Profile:
    """See `PreferenceModel.profile`."""
    from pluralism.social_choice.profile import Profile

    _one_prompt(items)
    if not model.transitive:
        raise UsageError(
            f"A {type(model).__name__} may prefer in circles, which no ballot can say.",
            fix="Use model.preference_matrix(items) with the maximal lottery.",
        )
    names = items.ids.to_pylist()
    if n_draws == 0:
        rewards, shares, _ = _rewards(model, items, of, membership)
        weights = None if of == "users" else shares
        return Profile.from_utilities(rewards.T, weights, candidates=names, tolerance=tolerance, units=units)
    draw = getattr(model, "reward_draws", None)
    if n_draws < 0 or draw is None or of == "users":
        raise UsageError(
            f"A {type(model).__name__} gives no posterior draws of {of}.",
            fix="Use n_draws=0, or draws of the groups of a model with reward_std.",
        )
    generator = as_generator(rng, "profile")
    draws = draw(items, n_draws, generator)
    shares = generator.dirichlet(model.effective_n_ + 1.0, size=n_draws)
    voters = np.moveaxis(draws, 2, 1).reshape(-1, len(items))
    return Profile.from_utilities(voters, shares.ravel(), candidates=names, tolerance=tolerance, units=units)


def preference_matrix_of(model: PreferenceModel, items: Items) -> Float[np.ndarray, "items items"]:
    """See `PreferenceModel.preference_matrix`."""
    from pluralism.data import Comparisons

    _one_prompt(items)
    out = np.full((len(items), len(items)), 0.5)
    if len(items) > 1:
        left, right = np.array(list(combinations(range(len(items)), 2))).T
        pairs = Comparisons.from_arrays(left, right, items=items)
        won = model.predict_group_proba(pairs) @ model.group_weights_
        out[left, right], out[right, left] = won, 1.0 - won
    return out


def _rewards(
    model: PreferenceModel, items: Items, of: Of, membership: Membership | None
) -> tuple[Float[np.ndarray, "items voters"], Float[np.ndarray, " voters"] | None, list[str]]:
    if of == "users":
        placed = model.membership() if membership is None else membership
        return model.user_reward(items, placed), None, placed.users.to_pylist()
    if of != "groups" or membership is not None:
        raise UsageError(
            f"of={of!r} {'with a membership ' * (membership is not None)}is not possible.",
            fix='Use of="groups", or of="users", perhaps with a membership.',
        )
    rewards = model.reward(items)
    return rewards, model.group_weights_, [f"group {k}" for k in range(rewards.shape[1])]


def _prompts(items: Items) -> tuple[np.ndarray, list[Any]]:
    """Codes of prompts, and their names; all items without a prompt answer one that has no name."""
    if items.prompts is None:
        return np.zeros(len(items), dtype=np.int64), [""]
    codes, labels = encode_labels(items.prompts.fill_null(""))
    return codes.astype(np.int64), labels.to_pylist()


def _one_prompt(items: Items) -> None:
    prompts = _prompts(items)[1]
    if len(prompts) > 1:
        raise UsageError(
            f"These items answer {len(prompts):,} prompts, and are compared only within one.",
            fix="Take the items of one prompt: items.take(items.prompt_codes() == code).",
        )
