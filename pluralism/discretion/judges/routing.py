"""Which pairs people should judge: those where their answer is worth most."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike

from pluralism.calibration.text import json_ready
from pluralism.errors import DataError, UsageError

__all__ = ["Routing", "route_to_people", "value_of_asking"]


@dataclass(frozen=True, eq=False, repr=False)
class Routing:
    """Pairs to ask people about.

    Attributes
    ----------
    pairs : tuple of str
    value : array of shape (pairs,)
        By how much a person's answer is expected to raise the probability of the right decision.
    ask : bool array of shape (pairs,)
    expected_accuracy : float
        With these answers, if the probabilities are calibrated.
    accuracy_without : float
    """

    pairs: tuple[str, ...]
    value: Float[np.ndarray, " pairs"]
    ask: Bool[np.ndarray, " pairs"]
    expected_accuracy: float
    accuracy_without: float

    def to_frame(self) -> pa.Table:
        """Columns `pair, value, ask`, the most valuable first."""
        order = np.argsort(-self.value, kind="stable")
        return pa.table({"pair": [self.pairs[k] for k in order], "value": self.value[order], "ask": self.ask[order]})

    def to_json(self) -> str:
        """The rows and expected accuracies as JSON."""
        document = {
            "expected_accuracy": self.expected_accuracy,
            "accuracy_without": self.accuracy_without,
            "pairs": self.to_frame().to_pylist(),
        }
        return json.dumps(json_ready(document), ensure_ascii=False, allow_nan=False)

    def __repr__(self) -> str:
        return (
            f"Routing({int(self.ask.sum()):,} of {len(self.pairs):,} pairs to people: expected accuracy "
            f"{self.accuracy_without:.3f} to {self.expected_accuracy:.3f})"
        )


def value_of_asking(left: Float[np.ndarray, " pairs"], accuracy: float = 1.0) -> Float[np.ndarray, " pairs"]:
    """Expected gain in the probability of deciding right from one answer that is right with probability `accuracy`.

    Examples
    --------
    >>> value_of_asking(np.array([0.5, 0.9]), 0.8).round(2).tolist()
    [0.3, 0.0]
    """
    p, q = left, 1.0 - left
    told = np.maximum(p * accuracy, q * (1 - accuracy)) + np.maximum(p * (1 - accuracy), q * accuracy)
    return np.maximum(told - np.maximum(p, q), 0.0)


def route_to_people(
    pairs: Sequence[str],
    left: ArrayLike,
    *,
    most: int | None = None,
    cost: float = 0.0,
    accuracy: float = 1.0,
) -> Routing:
    """Choose the pairs whose judgement by people is worth most.

    Parameters
    ----------
    pairs : sequence of str
    left : array of shape (pairs,)
        Probability that the left item is better, such as `DiversityEntropy.left` or `JudgeReliability.left`.
    most : int, optional
        How many pairs people can judge; left out, all that are worth their cost.
    cost : float
        Of an answer, in probability of deciding right.
    accuracy : float
        How often a person is right, in (0.5, 1].

    Raises
    ------
    DataError
        If `left` does not hold probabilities.
    """
    p = np.asarray(left, dtype=np.float64)
    if p.shape != (len(pairs),) or not ((p >= 0) & (p <= 1)).all():
        raise DataError("There is one probability for each pair.", fix="Leave out pairs without verdicts.")
    if not 0.5 < accuracy <= 1 or not cost >= 0 or (most is not None and most < 0):
        raise UsageError(
            f"most={most!r}, cost={cost!r}, accuracy={accuracy!r} are not possible.",
            fix="Use accuracy in (0.5, 1], and most and cost of at least 0.",
        )
    value = value_of_asking(p, accuracy)
    ask = np.zeros(len(p), dtype=bool)
    ask[np.argsort(-value, kind="stable")[: len(p) if most is None else most]] = True
    ask &= value > cost
    without = np.maximum(p, 1.0 - p)
    gained = np.where(ask, value, 0.0)
    return Routing(tuple(pairs), value, ask, float(np.mean(without + gained)), float(np.mean(without)))
