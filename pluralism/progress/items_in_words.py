"""Options in words, each a bundle of more and less of named values: for models that read."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, product

import numpy as np
from jaxtyping import Float, Int

from pluralism.errors import UsageError
from pluralism.progress.item_bank import ItemBank
from pluralism.progress.item_texts import ItemTexts
from pluralism.random import RNG, as_generator

__all__ = ["worded_items"]

PROMPT = "Which society is better?"


def worded_items(
    names: Sequence[str],
    *,
    n_query: int = 64,
    n_evaluation: int = 16,
    n_options: int = 3,
    n_named: int = 3,
    sharpness: float = 2.0,
    rng: RNG = 0,
) -> ItemBank:
    """Questions such as "more freedom, less order" against "less care".

    Each option has more (1) or less (-1) of one value or a few; those that can be asked about and those that policies
    are judged by are different bundles of the same words, so that whoever reads can learn from one what to say to the
    other.

    Parameters
    ----------
    names : sequence of str
        Of the values, at least three, each one word.
    n_query, n_evaluation, n_options : int
    n_named : int
        The most values that an option names.
    sharpness : float
    rng : int, numpy.random.Generator or None

    Raises
    ------
    UsageError
        If the names are fewer, not distinct or not single words, or there are not enough different options.

    Examples
    --------
    >>> bank = worded_items(["freedom", "order", "care"], rng=0)
    >>> bank.words.query[0]
    ('Which society is better?', 'less order', 'more freedom, less care')
    """
    words = [name for name in names if name and not set(name) & set(' ,":\n')]
    if len(set(words)) != len(names) or len(words) < 3:
        raise UsageError(
            "Names of values must be at least three different words.", fix="Leave spaces and commas out of them."
        )
    drawn = as_generator(rng, "worded items")
    if not 1 <= n_named <= len(words):
        raise UsageError(f"n_named={n_named} is not possible.", fix=f"Use 1 to {len(words)}.")
    bundles = drawn.permutation(np.concatenate([_bundles(len(words), k) for k in range(1, n_named + 1)]))
    # No bundle is on both sides; judging needs no more than it has places for.
    judged = min(n_evaluation * n_options, len(bundles) // 2)
    sides = bundles[judged:], bundles[:judged]
    query, evaluation = (
        _questions(side, n, size, drawn)
        for side, n, size in zip(sides, (n_query, n_evaluation), (2, n_options), strict=True)
    )
    texts = ItemTexts(_texts(query, words), _texts(evaluation, words))
    return ItemBank(query, evaluation, sharpness, texts)


def _bundles(dims: int, n_named: int) -> Int[np.ndarray, "bundles dim"]:
    """More or less of so many values, in every way."""
    named = np.array(list(combinations(range(dims), n_named)))
    signs = np.array(list(product((1, -1), repeat=n_named)))
    made = np.zeros((len(named), len(signs), dims), dtype=np.int64)
    np.put_along_axis(made, np.broadcast_to(named[:, None], (len(named), *signs.shape)), signs[None], axis=2)
    return made.reshape(-1, dims)


def _questions(
    side: Int[np.ndarray, "bundles dim"], n: int, size: int, drawn: np.random.Generator
) -> Float[np.ndarray, "items candidates dim"]:
    if size > len(side):
        raise UsageError(f"There are no {size} different options.", fix="Use more names or fewer options.")
    order = np.stack([drawn.permutation(len(side))[:size] for _ in range(n)])
    return side[order].astype(float)


def _texts(questions: Float[np.ndarray, "items candidates dim"], names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    def said(option: Float[np.ndarray, " dim"]) -> str:
        parts = [f"{'more' if part > 0 else 'less'} {name}" for part, name in zip(option, names, strict=True) if part]
        return ", ".join(parts)

    return tuple((PROMPT, *(said(option) for option in options)) for options in questions)
