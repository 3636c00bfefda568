"""Folds for validation in blocks: a training row never touches an entity (prompt, item, user, vote) it is tested on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from jaxtyping import Bool, Int

from pluralism.data.units import dense_codes, prompt_blocks, prompt_nodes, user_pairs
from pluralism.errors import UsageError
from pluralism.random import RNG, as_generator

if TYPE_CHECKING:
    from pluralism.data.comparisons import Comparisons

__all__ = ["FoldBy", "default_blocks", "folds"]

FoldBy: TypeAlias = Literal["prompt", "item", "user", "vote", "pair", "row"]

_CHOICES: tuple[FoldBy, ...] = ("prompt", "item", "user", "vote", "pair", "row")


def folds(
    comparisons: Comparisons, n_folds: int = 5, by: FoldBy = "prompt", rng: RNG = 0
) -> list[tuple[Bool[np.ndarray, " pairs"], Bool[np.ndarray, " pairs"]]]:
    """Cut comparisons into folds by entity.

    Every entity belongs to one fold. A row validates fold f if an entity of either of its items is in f, and trains
    it only if neither is. A row whose items are in two folds (possible for ``"item"`` and ``"vote"``, and for
    prompts compared with each other) validates both.

    Parameters
    ----------
    comparisons : Comparisons
    n_folds : int
        At least 2 and at most the number of entities.
    by : {"prompt", "item", "user", "vote", "pair", "row"}
        The entity: the prompt of an item (a connected component of items where no item has a prompt), the item, the
        user, the user's vote on an item (for comparisons made from ratings or rankings, where one vote is in many
        pairs), the user's unordered pair, or the row.
    rng : int, Generator or None

    Returns
    -------
    list of (train, validation)
        `n_folds` pairs of disjoint boolean masks of shape (pairs,), none without a True.

    Raises
    ------
    UsageError
        If there are fewer entities than folds, or a fold would leave nothing to train on.
    """
    if by not in _CHOICES:
        raise UsageError(f"Cannot fold by {by!r}.", fix=f"Choose one of {', '.join(map(repr, _CHOICES))}.")
    if n_folds < 2:
        raise UsageError(f"n_folds must be at least 2, not {n_folds}.", fix="Pass n_folds=5.")
    left, right = _entities(comparisons, by)
    both = dense_codes(np.concatenate([left, right]))
    size = np.bincount(both)
    if len(size) < n_folds:
        raise UsageError(
            f"Cannot make {n_folds} folds by {by}: there are only {len(size)} to share out.",
            fix="Use fewer folds, or fold by something there is more of, such as by='item' or by='pair'.",
        )
    fold = _balanced(size, n_folds, as_generator(rng, "folds"))[both]
    left_fold, right_fold = fold[: len(left)], fold[len(left) :]
    masks = []
    for f in range(n_folds):
        validation = (left_fold == f) | (right_fold == f)
        if validation.all():
            raise UsageError(
                f"Every comparison touches fold {f} of {n_folds} by {by}: nothing is left to train on.",
                fix="Use more folds, or fold by something smaller, such as by='pair' or by='row'.",
            )
        masks.append((~validation, validation))
    return masks


def default_blocks(comparisons: Comparisons, n_folds: int = 5) -> FoldBy:
    """The blocks in which a penalty should be chosen on these data.

    Votes where pairs were made from ratings or rankings (pairs of one vote repeat its noise), else prompts or
    connected components where there are enough of them, else items.
    """
    if comparisons.origin in ("ratings", "rankings"):
        return "vote"
    left, right = _entities(comparisons, "prompt")
    return "prompt" if len(np.union1d(left, right)) >= n_folds else "item"


def _entities(comparisons: Comparisons, by: FoldBy) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]:
    user = comparisons.user.astype(np.int64)
    n_items = max(len(comparisons.items), 1)
    if comparisons.origin == "votes" and by in ("prompt", "item"):
        # the threshold is in every row, and no reason to hold them all out together
        voted = comparisons.left.astype(np.int64)
        if by == "prompt" and comparisons.items.prompts is not None:
            voted = prompt_nodes(comparisons)[0]
        return voted, voted
    if by == "prompt":
        if comparisons.items.prompts is None:
            block = prompt_blocks(comparisons)
            return block, block
        left, right, _ = prompt_nodes(comparisons)
        return left, right
    if by == "item":
        return comparisons.left.astype(np.int64), comparisons.right.astype(np.int64)
    if by == "vote":
        return user * n_items + comparisons.left, user * n_items + comparisons.right
    if by == "user":
        return user, user
    rows = np.arange(len(user))
    unit = rows if by == "row" else user_pairs(comparisons.user, comparisons.left, comparisons.right, n_items)
    return unit, unit


def _balanced(
    size: Int[np.ndarray, " entities"], n_folds: int, generator: np.random.Generator
) -> Int[np.ndarray, " entities"]:
    """Deal entities out from the largest to the smallest, there and back, so that folds are about equally large."""
    order = np.lexsort((generator.random(len(size)), -size))
    lap, seat = np.divmod(np.arange(len(size)), n_folds)
    seat = np.where(lap % 2 == 0, seat, n_folds - 1 - seat)
    fold = np.empty(len(size), dtype=np.int64)
    fold[order] = generator.permutation(n_folds)[seat]
    return fold
