"""Options shown in several orders: back to the option, never to the place where it was shown."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from pluralism.errors import UsageError

__all__ = ["all_orders", "depermuted", "rotations"]


def all_orders(n_options: int) -> Int[np.ndarray, "orders options"]:
    """Every order of the options: `orders[o, place]` is the option that is shown at a place."""
    return np.array(list(permutations(range(n_options))))


def rotations(n_options: int) -> Int[np.ndarray, "orders options"]:
    """As many orders as options, with each option once at each place: the fewest that cancel a liking for places."""
    places = np.arange(n_options)
    return (places[:, None] + places) % n_options


def depermuted(probabilities: ArrayLike, orders: ArrayLike) -> Float[np.ndarray, "... options"]:
    """Mean probability of each option over the orders in which it was shown.

    An agent that judges by content alone gets its own preference back; one that likes places alone gets equal
    probabilities, whenever each option is shown equally often at each place. (The published benchmark permutes the
    answers both when it asks and when it counts; that measures the liking for places.)

    Parameters
    ----------
    probabilities : array-like of shape (orders, ..., options)
        Of the answers by place: `probabilities[o, ..., place]`.
    orders : array-like of int, shape (orders, options)
        `orders[o, place]` is the option that was shown there.

    Raises
    ------
    UsageError
        If an order is not one of all options, or the shapes do not fit.

    Examples
    --------
    >>> depermuted([[0.9, 0.1], [0.1, 0.9]], [[0, 1], [1, 0]])  # content: the first option is liked
    array([0.9, 0.1])
    >>> depermuted([[0.9, 0.1], [0.9, 0.1]], [[0, 1], [1, 0]])  # the first place is liked
    array([0.5, 0.5])
    """
    shown, order = np.asarray(probabilities, dtype=float), np.asarray(orders)
    n = order.shape[-1]
    if order.ndim != 2 or not (np.sort(order, axis=1) == np.arange(n)).all():
        raise UsageError("An order must hold every option once.", fix="Use all_orders or rotations.")
    if shown.ndim < 2 or shown.shape[0] != len(order) or shown.shape[-1] != n:
        raise UsageError(
            f"Probabilities of shape {shown.shape} do not fit {len(order)} orders of {n} options.",
            fix="Give the order first and the place last.",
        )
    place = np.argsort(order, axis=1).reshape(len(order), *[1] * (shown.ndim - 2), n)
    return np.take_along_axis(shown, np.broadcast_to(place, shown.shape), axis=-1).mean(axis=0)
