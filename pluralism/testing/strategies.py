"""Hypothesis strategies for comparisons and labels; hypothesis is imported when one is asked for."""

from __future__ import annotations

import importlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from pluralism.data import Comparisons, Items
from pluralism.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["comparisons", "labels", "random_state_kept", "strategy_module"]

TRICKY = [
    "1",
    "01",
    "é",
    "e\u0301",
    "\u0645\u062d\u0645\u062f",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467",
    "a\u200bb",
    "\u202eabc",
    "a\x00b",
    " a",
    "A",
    'naïve, "quoted"\n',
]


def labels(*, min_size: int = 1, max_size: int = 8) -> SearchStrategy[list[str]]:
    """Lists of distinct labels of users or items in any script: emoji, look-alikes, controls, quotes, line breaks.

    Parameters
    ----------
    min_size, max_size : int
        Length of the lists.

    Raises
    ------
    MissingExtraError
        If hypothesis is not installed.
    """
    st = strategy_module()
    label = st.sampled_from(TRICKY) | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
    return st.lists(label, min_size=min_size, max_size=max_size, unique=True)


def comparisons(
    *,
    min_items: int = 2,
    max_items: int = 8,
    max_users: int = 5,
    max_pairs: int = 30,
    connected: bool | None = None,
    separable: bool | None = None,
    ties: bool = True,
    weighted: bool = False,
    dim: int | None = None,
    unicode: bool = False,
) -> SearchStrategy[Comparisons]:
    """Comparisons by a few users of a few items.

    Parameters
    ----------
    min_items, max_items, max_users, max_pairs : int
        Sizes; to connect the items, up to `max_items` rows more may be there.
    connected : bool, optional
        True: comparisons join all items. False: the items fall into two parts or more, with at least two items
        each. None: either.
    separable : bool, optional
        True: all outcomes follow one order of the items, so that without a prior item rewards have no finite
        estimate. False: every item beats every other one, perhaps by way of others (Ford 1957), so that they have;
        such comparisons are connected. None: either.
    ties : bool
        Whether outcomes may be 0.5 (never where `separable` is True).
    weighted : bool
        Whether weights differ from 1; some may be 0, though not all.
    dim : int, optional
        Give the items features of this many dimensions.
    unicode : bool
        Whether users and items have labels of `labels()` instead of plain ones.

    Raises
    ------
    MissingExtraError
        If hypothesis is not installed.
    UsageError
        For sizes or properties that exclude each other.
    """
    st = strategy_module()
    if connected is False and separable is False:
        raise UsageError(
            "Comparisons in two parts cannot have every item beat every other.", fix="Drop connected=False."
        )
    min_items = max(min_items, 4 if connected is False else 2)
    if min_items > max_items or max_users < 1 or max_pairs < 1:
        raise UsageError(
            f"min_items={min_items}, max_items={max_items}, max_users={max_users}, max_pairs={max_pairs} exclude "
            "each other.",
            fix="Allow at least 2 items (4 if they are to fall apart), 1 user and 1 pair.",
        )

    def build(draw: Any) -> Comparisons:
        n_items, n_users = draw(st.integers(min_items, max_items)), draw(st.integers(1, max_users))
        order = draw(st.permutations(range(n_items)))
        cut = draw(st.integers(2, n_items - 2)) if connected is False else n_items
        parts = [order[:cut], order[cut:]] if connected is False else [order]
        outcomes = st.sampled_from([0.0, 0.5, 1.0] if ties else [0.0, 1.0])
        rows: list[tuple[int, int, float]] = []
        for _ in range(draw(st.integers(1, max_pairs))):
            part = parts[draw(st.integers(0, len(parts) - 1))]
            i, j = draw(st.lists(st.sampled_from(part), min_size=2, max_size=2, unique=True))
            rows.append((i, j, draw(outcomes)))
        if connected is False:
            rows += [(part[0], part[1], 1.0) for part in parts]
        if connected or separable is False:
            rows += [(i, j, draw(outcomes) if separable is None else 1.0) for i, j in pairwise(order)]
        if separable is False:
            rows.append((order[-1], order[0], 1.0))
        if separable:
            rank = np.argsort(order)
            rows = [(i, j, float(rank[i] < rank[j])) for i, j, _ in rows]
        return _made(draw, st, rows, n_items, n_users, weighted=weighted, dim=dim, unicode=unicode)

    return st.composite(build)()


def _made(
    draw: Any,
    st: Any,
    rows: list[tuple[int, int, float]],
    n_items: int,
    n_users: int,
    *,
    weighted: bool,
    dim: int | None,
    unicode: bool,
) -> Comparisons:
    n = len(rows)
    names = [f"item {k}" for k in range(n_items)], [f"user {k}" for k in range(n_users)]
    if unicode:
        names = draw(labels(min_size=n_items, max_size=n_items)), draw(labels(min_size=n_users, max_size=n_users))
    seed = 0 if dim is None else draw(st.integers(0, 2**32 - 1))
    weight = np.ones(n)
    if weighted:
        weight = np.array(draw(st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=n, max_size=n)))
        weight[0] = max(weight[0], 1.0)
    user = np.array(draw(st.lists(st.integers(0, n_users - 1), min_size=n, max_size=n)))
    left, right, outcome = (np.array(column) for column in zip(*rows, strict=True))
    with random_state_kept():
        items = Items(ids=names[0])
        if dim is not None:
            items = items.with_features(np.random.default_rng(seed).normal(size=(n_items, dim)), "hypothesis")
        return Comparisons.from_arrays(
            left, right, user=user, outcome=outcome, weight=weight, items=items, users=names[1]
        )


@contextmanager
def random_state_kept() -> Iterator[None]:
    """Run-time type checkers draw from Python's global generator, which hypothesis forbids inside strategies."""
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)


def strategy_module() -> Any:
    """Hypothesis's strategies, imported when they are needed."""
    try:
        return importlib.import_module("hypothesis.strategies")
    except ImportError as error:
        raise MissingExtraError(
            "Strategies for property tests need hypothesis.", fix="Run: pip install hypothesis"
        ) from error
