"""What each group likes, and where groups agree and split: rewards compared within a prompt.

A reward says how much better a text is than others to the same prompt, so each is taken relative to the mean of the
judged texts of its prompt (of all judged items, where there are no prompts). In logits, then: a text at +1 would be
preferred to an average one by odds of e to 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from pluralism.errors import DataError
from pluralism.reports.contrasts import contrast_std

if TYPE_CHECKING:
    from pluralism.data import Comparisons, Items
    from pluralism.models import PreferenceModel

__all__ = ["GroupPreferences", "group_preferences", "judged_blocks"]


@dataclass(frozen=True, eq=False)
class GroupPreferences:
    """Rewards of the judged items, centred within prompts.

    Attributes
    ----------
    model : PreferenceModel
    items : Items
        All items of the data.
    item : int array of shape (judged,)
        Code of each judged item that has another one to be compared with.
    block : int array of shape (judged,)
        Which prompt, from 0; all 0 without prompts.
    reward : array of shape (judged, groups)
        In logits, with mean 0 in each block.
    overall : array of shape (judged,)
        Mean over groups by their size.
    disagreement : array of shape (judged,)
        Standard deviation between groups by their size; the between-group variance is its square.
    relative : array of shape (judged, groups)
        Own reward minus the mean of the other groups by their size; zeros for one group.
    """

    model: PreferenceModel
    items: Items
    item: Int[np.ndarray, " judged"]
    block: Int[np.ndarray, " judged"]
    reward: Float[np.ndarray, "judged groups"]
    overall: Float[np.ndarray, " judged"]
    disagreement: Float[np.ndarray, " judged"]
    relative: Float[np.ndarray, "judged groups"]

    def __len__(self) -> int:
        return len(self.item)

    def __repr__(self) -> str:
        within = f"{self.n_blocks:,} prompts" if self.has_prompts else "no prompts"
        return f"GroupPreferences({len(self):,} judged items, {self.n_groups} groups, {within})"

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return int(self.reward.shape[1])

    @property
    def n_blocks(self) -> int:
        """Number of prompts; 1 where there are none."""
        return int(self.block.max(initial=-1)) + 1

    @property
    def has_prompts(self) -> bool:
        """Whether rewards are centred within prompts rather than over all items."""
        return self.items.prompts is not None

    def top(
        self, score: Float[np.ndarray, " judged"], n: int, *, lowest: bool = False, one_a_prompt: bool = True
    ) -> Int[np.ndarray, " top"]:
        """Positions of the items that score highest (or lowest), the best first, at most one of each prompt."""
        order = np.argsort(score if lowest else -score, kind="stable")
        if one_a_prompt and self.has_prompts:
            _, first = np.unique(self.block[order], return_index=True)
            order = order[np.sort(first)]
        return order[:n]

    def liked(self, group: int, n: int) -> Int[np.ndarray, " top"]:
        """Positions of the items that a group likes most."""
        return self.top(self.reward[:, group], n)

    def disliked(self, group: int, n: int) -> Int[np.ndarray, " top"]:
        """Positions of the items that a group likes least."""
        return self.top(self.reward[:, group], n, lowest=True)

    def shared(self, n: int, *, liked: bool = True) -> Int[np.ndarray, " top"]:
        """Positions of the items that every group likes (or dislikes), by the group that does so least; perhaps few."""
        least = self.reward.min(axis=1) if liked else -self.reward.max(axis=1)
        top = self.top(least, n)
        return top[least[top] > 0]

    def divisive(self, n: int) -> Int[np.ndarray, " top"]:
        """Positions of the items with the largest between-group variance."""
        return self.top(self.disagreement, n)

    def prompt_split(self) -> Float[np.ndarray, " prompts"]:
        """Root mean between-group variance over the texts of each prompt."""
        return np.sqrt(self._block_mean(self.disagreement**2))

    def prompt_spread(self) -> Float[np.ndarray, " prompts"]:
        """Root mean square of the overall reward over the texts of each prompt: how much people care, on average."""
        return np.sqrt(self._block_mean(self.overall**2))

    def split_prompts(self, n: int) -> Int[np.ndarray, " top"]:
        """Prompts with the largest between-group variance."""
        return np.argsort(-self.prompt_split(), kind="stable")[:n]

    def agreed_prompts(self, n: int) -> Int[np.ndarray, " top"]:
        """Prompts with the smallest between-group variance, among the half in which people care most."""
        split, spread = self.prompt_split(), self.prompt_spread()
        return np.argsort(np.where(spread >= np.median(spread), split, np.inf), kind="stable")[:n]

    def std(self, positions: Int[np.ndarray, " top"]) -> Float[np.ndarray, "top groups"] | None:
        """Standard deviation of `reward` at these positions by Laplace's approximation; None if the model has none."""
        members = [self.item[self.block == b] for b in self.block[positions]]
        return contrast_std(self.model, self.items, self.item[positions], members)

    def relative_std(self, std: Float[np.ndarray, "top groups"]) -> Float[np.ndarray, "top groups"]:
        """Standard deviation of `relative` from that of `reward`; groups are taken as independent."""
        others = _others(np.asarray(self.model.group_weights_))
        return np.sqrt(std**2 + std**2 @ (others**2).T)

    def _block_mean(self, values: Float[np.ndarray, " judged"]) -> Float[np.ndarray, " prompts"]:
        return np.bincount(self.block, values) / np.bincount(self.block)


def group_preferences(model: PreferenceModel, data: Comparisons) -> GroupPreferences:
    """Rewards of the items judged in `data`, centred within prompts.

    Raises
    ------
    DataError
        If no prompt has two judged items.
    """
    item, block = judged_blocks(data)
    if not len(item):
        raise DataError(
            "No prompt has two judged items, so that nothing can be said of what a group prefers.",
            where=f"{len(data):,} judgements",
            fix="Compare texts that answer the same prompt.",
        )
    # taking items copies their features, so it has to be worth it
    few = 4 * len(item) < len(data.items)
    reward = model.reward(data.items.take(item)) if few else model.reward(data.items)[item]
    size = np.bincount(block)
    mean = np.stack([np.bincount(block, column) / size for column in reward.T], axis=1)
    reward = reward - mean[block]
    weights = np.asarray(model.group_weights_, dtype=np.float64)
    overall = reward @ weights
    disagreement = np.sqrt(np.maximum((reward - overall[:, None]) ** 2 @ weights, 0.0))
    relative = reward - reward @ _others(weights).T if len(weights) > 1 else np.zeros_like(reward)
    return GroupPreferences(model, data.items, item, block, reward, overall, disagreement, relative)


def judged_blocks(data: Comparisons) -> tuple[Int[np.ndarray, " judged"], Int[np.ndarray, " judged"]]:
    """Codes of the judged items that share their prompt with another one, and the prompt of each, from 0."""
    judged = np.unique(np.concatenate([data.left, data.right])).astype(np.int64)
    codes = data.items.prompt_codes()[judged] if data.items.prompts is not None else np.zeros(len(judged), np.int32)
    _, block, size = np.unique(codes, return_inverse=True, return_counts=True)
    item = judged[size[block] > 1]
    return item, np.unique(codes[size[block] > 1], return_inverse=True)[1].astype(np.int64)


def _others(weights: Float[np.ndarray, " groups"]) -> Float[np.ndarray, "groups groups"]:
    """Row k: the shares of the other groups among themselves."""
    if len(weights) == 1:
        return np.zeros((1, 1))
    rest = np.tile(weights, (len(weights), 1))
    np.fill_diagonal(rest, 0.0)
    return rest / np.maximum(rest.sum(axis=1, keepdims=True), 1e-300)
