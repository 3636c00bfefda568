"""Which prompts are worth asking about: those whose answers a model believes to differ much in reward.

Z. Ye et al., Evolving alignment via asymmetric self-play (eva), arXiv 2411.00062, 2024: prompts are drawn in proportion
to how much the best of some responses is better than the others. The last measure is ours: how much groups differ about
it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from pluralism.errors import DataError, UsageError
from pluralism.random import RNG, as_generator

if TYPE_CHECKING:
    from pluralism.data import Items

__all__ = ["Informativeness", "PromptInformativeness", "prompt_informativeness"]

Informativeness = Literal["best-mean", "best-worst", "best-second", "groups"]
"""Best reward less the mean, the worst, or the second; or the variance between groups of the best response's reward."""


@dataclass(frozen=True, eq=False, repr=False)
class PromptInformativeness:
    """A number for each prompt.

    Attributes
    ----------
    prompts : tuple of str
    value : array of shape (prompts,)
        Not negative; in logits ("groups": in their square).
    measure : str
    """

    prompts: tuple[str, ...]
    value: Float[np.ndarray, " prompts"]
    measure: str

    def draw(self, n: int, *, replace: bool = False, rng: RNG = None) -> tuple[str, ...]:
        """Prompts drawn in proportion to their value.

        Raises
        ------
        UsageError
            If there are too few of a value above 0.
        """
        total = float(self.value.sum())
        if n < 1 or total <= 0 or (not replace and n > int((self.value > 0).sum())):
            raise UsageError(f"{n} prompts cannot be drawn.", fix="Ask for fewer, or pass replace=True.")
        found = as_generator(rng, "prompts").choice(len(self.prompts), n, replace=replace, p=self.value / total)
        return tuple(self.prompts[i] for i in found)

    def to_frame(self) -> pa.Table:
        """Columns `prompt, informativeness`, the most informative first."""
        order = np.argsort(-self.value, kind="stable")
        return pa.table({"prompt": [self.prompts[i] for i in order], "informativeness": self.value[order]})

    def to_dict(self) -> dict[str, Any]:
        """The measure and the rows of `to_frame`."""
        return {"measure": self.measure, "prompts": self.to_frame().to_pylist()}

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        return f"PromptInformativeness({len(self.prompts):,} prompts by {self.measure}, mean {self.value.mean():.3g})"


def prompt_informativeness(
    rewards: Float[np.ndarray, "items groups"],
    items: Items,
    *,
    measure: Informativeness = "best-mean",
    group_weights: Sequence[float] | None = None,
) -> PromptInformativeness:
    """Measure prompts by the rewards of their responses.

    Parameters
    ----------
    rewards : array of shape (items, groups)
        As `model.reward(items)` gives them.
    items : Items
        Responses with prompts; a prompt with one response has the value 0.
    measure : {"best-mean", "best-worst", "best-second", "groups"}
    group_weights : sequence of float, optional
        Shares of the groups, over which rewards are averaged first (for "groups": in the variance); equal by default.
        The first three are averages over groups of the measure in each of them.
    """
    if measure not in get_args(Informativeness):
        raise UsageError(f"measure={measure!r} is not possible.", fix=f"Use one of {get_args(Informativeness)}.")
    if items.prompts is None:
        raise DataError("The items have no prompts.", fix="Give them prompts: responses are compared within one.")
    if rewards.shape[0] != len(items):
        raise UsageError(f"There are {len(rewards):,} rewards of {len(items):,} items.", fix="Use model.reward(items).")
    n_groups = rewards.shape[1]
    weight = np.full(n_groups, 1.0 / n_groups) if group_weights is None else np.asarray(group_weights, dtype=np.float64)
    if weight.shape != (n_groups,) or (weight < 0).any() or not weight.any():
        raise UsageError(f"The group weights are not {n_groups} numbers of at least 0.", fix="Give one a group.")
    weight = weight / weight.sum()
    prompts = np.array(["" if prompt is None else prompt for prompt in items.prompts.to_pylist()])
    names, code = np.unique(prompts, return_inverse=True)
    values = np.array([_measure(rewards[rows], measure, weight) for rows in _rows(code, len(names))])
    return PromptInformativeness(tuple(names.tolist()), values, measure)


def _rows(code: Int[np.ndarray, " items"], n: int) -> list[Int[np.ndarray, " rows"]]:
    order = np.argsort(code, kind="stable")
    return np.split(order, np.searchsorted(code[order], np.arange(1, n)))


def _measure(
    rewards: Float[np.ndarray, "rows groups"], measure: Informativeness, weight: Float[np.ndarray, " groups"]
) -> float:
    if len(rewards) < 2:
        return 0.0
    if measure == "groups":
        # levels of groups mean nothing, so each group's rewards are taken from their mean
        centred = rewards - rewards.mean(axis=0)
        best = centred[int(np.argmax(centred @ weight))]
        return float(weight @ (best - weight @ best) ** 2)
    ordered = np.sort(rewards, axis=0)
    other = {"best-mean": rewards.mean(axis=0), "best-worst": ordered[0], "best-second": ordered[-2]}[measure]
    return float(weight @ (ordered[-1] - other))
