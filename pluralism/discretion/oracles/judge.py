"""A language model says which of two responses each principle favours."""

from __future__ import annotations

from typing import Unpack

import numpy as np

from pluralism.data import Comparisons
from pluralism.discretion.judging import Asking, judge_pairs
from pluralism.discretion.preferences import PrinciplePreferences
from pluralism.discretion.principles import PrincipleSet
from pluralism.discretion.questions import DistinctPairs
from pluralism.llm import ChatModel

__all__ = ["judge_preferences"]


def judge_preferences(
    comparisons: Comparisons, principles: PrincipleSet, model: ChatModel, **asking: Unpack[Asking]
) -> PrinciplePreferences:
    """Let a language model decide principles; each pair of items is judged once, however many rows it has.

    Parameters
    ----------
    comparisons : Comparisons
        Of items with texts.
    principles : PrincipleSet
    model : ChatModel
    **asking
        `order`, `method`, `samples`, `workers`, `progress` and `rng`, as in `pluralism.discretion.judging.judge_pairs`.

    Returns
    -------
    PrinciplePreferences
        Means over both orders, with what the swap changed; or of the one order that was drawn.
    """
    pairs = DistinctPairs.of(comparisons)
    judged = judge_pairs(model, pairs, [principle.text for principle in principles.principles], **asking)
    left, right = np.moveaxis(judged.balanced, -1, 0)
    found = PrinciplePreferences(principles.ids, left, right, method=judged.method, swap=judged.swap(principles.ids))
    return pairs.to_rows(found)
