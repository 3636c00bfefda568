"""A language model says which of two responses each principle favours."""

from __future__ import annotations

from collections.abc import Callable

from pluralism.data import Comparisons
from pluralism.discretion.judging import Order, judge_pairs
from pluralism.discretion.order_swap import OrderSwap
from pluralism.discretion.preferences import PrinciplePreferences
from pluralism.discretion.principles import PrincipleSet
from pluralism.discretion.questions import DistinctPairs
from pluralism.llm import ChatModel
from pluralism.llm.chat_model import Method
from pluralism.random import RNG

__all__ = ["judge_preferences"]


def judge_preferences(
    comparisons: Comparisons,
    principles: PrincipleSet,
    model: ChatModel,
    *,
    order: Order = "both",
    method: Method = "auto",
    samples: int = 4,
    workers: int = 1,
    progress: Callable[[int, int], object] | None = None,
    rng: RNG = 0,
) -> PrinciplePreferences:
    """Let a language model decide principles; each pair of items is judged once, however many rows it has.

    Parameters
    ----------
    comparisons : Comparisons
        Of items with texts.
    principles : PrincipleSet
    model, order, method, samples, workers, progress, rng
        As in `pluralism.discretion.judging.judge_pairs`.

    Returns
    -------
    PrinciplePreferences
        Means over both orders, with what the swap changed; or of the one order that was drawn.
    """
    pairs = DistinctPairs.of(comparisons)
    judged = judge_pairs(
        model,
        pairs,
        [principle.text for principle in principles.principles],
        order=order,
        method=method,
        samples=samples,
        workers=workers,
        progress=progress,
        rng=rng,
    )
    swap = None
    if order == "both":
        swap = OrderSwap.of(principles.ids, judged.sides[:, :, 0], judged.sides[:, :, 1])
    sides = judged.balanced
    found = PrinciplePreferences(principles.ids, sides[..., 0], sides[..., 1], method=judged.method, swap=swap)
    return pairs.to_rows(found)
