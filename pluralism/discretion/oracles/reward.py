"""A reward for each principle says which of two items it favours."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.special import expit

from pluralism.data import Comparisons
from pluralism.discretion.annotators.reward import Reward, item_rewards
from pluralism.discretion.preferences import PrinciplePreferences
from pluralism.discretion.principles import PrincipleSet
from pluralism.errors import UsageError

__all__ = ["reward_preferences"]


def reward_preferences(
    comparisons: Comparisons, principles: PrincipleSet, rewards: Mapping[str, Reward], *, tie: float = 0.5
) -> PrinciplePreferences:
    """Let rewards decide principles: P(left) = s(d - tie), P(right) = s(-d - tie), with d the difference of rewards.

    Parameters
    ----------
    comparisons : Comparisons
    principles : PrincipleSet
    rewards : mapping of str to reward
        For each principle: rewards of the items in logits, a function of `Items` that gives them, or a fitted model.
    tie : float
        How many logits a difference has to exceed before a side is as likely as not; at least 0. With 0 a principle
        always decides.

    References
    ----------
    P. V. Rao, L. L. Kupper, Ties in paired-comparison experiments, JASA 62, 1967.
    """
    absent = [name for name in principles.ids if name not in rewards]
    if absent or not (np.isfinite(tie) and tie >= 0):
        what = f"There is no reward for {absent[0]!r}." if absent else f"tie={tie!r} is not possible."
        raise UsageError(what, fix=f"Pass a reward for each of {', '.join(principles.ids)}, and tie of at least 0.")
    values = [item_rewards(comparisons.items, rewards[name], name) for name in principles.ids]
    lead = np.stack([value[comparisons.left] - value[comparisons.right] for value in values], axis=1)
    return PrinciplePreferences(
        principles.ids, expit(lead - tie), expit(-lead - tie), method=f"a reward each, ties within {tie:g}"
    )
