"""What sets a group's taste apart: the texts that it likes, and dislikes, more than the others do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from pluralism.errors import DataError, UsageError
from pluralism.policy.lm.conditioning.conditioner import check_groups
from pluralism.policy.lm.conditioning.system_message import SystemMessage
from pluralism.policy.lm.conditioning.value_record import one_line

__all__ = ["taste_messages"]


def taste_messages(
    rewards: ArrayLike,
    texts: Sequence[str],
    groups: Sequence[str],
    *,
    n: int = 3,
    most_characters: int = 200,
) -> dict[str, SystemMessage]:
    """A system message for each group of a fitted model, from its own rewards.

    Rewards of each group are put in units of its standard deviation over the texts, as their zero and scale mean
    nothing across groups. A text counts for a group by how far the group's reward is above the mean of the others'; of
    those above the group's own mean the first n are "liked", of those below it the last n "disliked"; blank ones are
    passed over.

    Parameters
    ----------
    rewards : array of shape (items, groups)
        `model.reward(items)`.
    texts : sequence of str
    groups : sequence of str
        Names, in the order of the columns.
    n : int
        How many texts are quoted of either kind, at most.
    most_characters : int
        Longer texts are cut.

    Raises
    ------
    DataError
        Shapes do not fit, rewards are not finite, or a group rewards all texts alike.

    Examples
    --------
    >>> made = taste_messages([[2.0, 0.0], [0.0, 2.0]], ["Brief.", "At length ..."], ["terse", "wordy"])
    >>> made["wordy"].lines
    ('They like: At length ...', 'They dislike: Brief.')
    """
    names, values = check_groups(groups), np.asarray(rewards, dtype=np.float64)
    if values.shape != (len(texts), len(names)) or not np.isfinite(values).all():
        raise DataError(
            f"Rewards of shape {values.shape} are not finite, or not of {len(texts)} texts and {len(names)} groups.",
            fix="Give model.reward(items) with a text for each row and a name for each column.",
        )
    if n < 1 or most_characters < 1:
        raise UsageError(f"n={n!r}, most_characters={most_characters!r} are not possible.", fix="Give 1 or more.")
    spread = values.std(axis=0)
    if not spread.all():
        raise DataError(
            f"The group {names[int(np.argmin(spread))]!r} rewards all texts alike.",
            fix="Give texts that the groups tell apart.",
        )
    own = (values - values.mean(axis=0)) / spread
    others = (own.sum(axis=1, keepdims=True) - own) / max(len(names) - 1, 1)
    contrast = own - others
    quoted = [_cut(one_line(text), most_characters) for text in texts]
    made = {}
    for k, name in enumerate(names):
        order = np.argsort(-contrast[:, k], kind="stable")
        liked = [quoted[i] for i in order if own[i, k] > 0 and quoted[i]][:n]
        disliked = [quoted[i] for i in order[::-1] if own[i, k] < 0 and quoted[i]][:n]
        made[name] = SystemMessage.of_taste(liked, disliked)
    return made


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: max(most - 1, 1)].rstrip()}…"
