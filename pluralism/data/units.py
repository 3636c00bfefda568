"""What belongs together when rows are split, folded or counted: pairs of a user, prompts, blocks of items."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int, Integer

from pluralism.data.graph import components

if TYPE_CHECKING:
    from pluralism.data.comparisons import Comparisons

__all__ = ["dense_codes", "prompt_blocks", "prompt_nodes", "user_pairs"]


def user_pairs(
    user: Int[np.ndarray, " pairs"], left: Int[np.ndarray, " pairs"], right: Int[np.ndarray, " pairs"], n_items: int
) -> Int[np.ndarray, " pairs"]:
    """Code of (user, unordered pair) for each row, dense from 0."""
    pair = dense_codes(np.minimum(left, right).astype(np.int64) * max(n_items, 1) + np.maximum(left, right))
    return dense_codes(pair + user.astype(np.int64) * (int(pair.max(initial=0)) + 1))


def prompt_nodes(comparisons: Comparisons) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"], int]:
    """Prompt of the left and of the right item of each row; an item without a prompt stands for itself.

    Returns
    -------
    left, right : (pairs,) int
    n_nodes : int
    """
    prompt = comparisons.items.prompt_codes().astype(np.int64)
    alone = prompt < 0
    node = np.where(alone, int(prompt.max(initial=-1)) + 1 + np.cumsum(alone) - 1, prompt)
    return node[comparisons.left], node[comparisons.right], int(node.max(initial=-1)) + 1


def prompt_blocks(comparisons: Comparisons) -> Int[np.ndarray, " pairs"]:
    """Block of each row such that no two blocks share an item or a prompt.

    A block is a prompt, all prompts that some row compares with each other, or, where there are no prompts, a
    connected component of the items.

    Returns
    -------
    (pairs,) int32
        Block codes, dense from 0.
    """
    left, right, n_nodes = prompt_nodes(comparisons)
    return dense_codes(components(left, right, n_nodes)[left])


def dense_codes(values: Integer[np.ndarray, " rows"]) -> Int[np.ndarray, " rows"]:
    """The rank of each value among the distinct values, from 0."""
    return np.unique(values, return_inverse=True)[1].astype(np.int64)
