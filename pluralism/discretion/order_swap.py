"""What the order in which two responses are shown changes in the verdicts of a judge, principle by principle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from pluralism.calibration.text import format_table, json_ready

__all__ = ["OrderSwap"]


@dataclass(frozen=True, eq=False, repr=False)
class OrderSwap:
    """Verdicts on the same pairs shown in both orders.

    Attributes
    ----------
    principles : tuple of str
    conflict : array of shape (principles,)
        Share, in [0, 1], of pairs on which the verdict is a side in both orders, and another side when swapped; NaN
        where no pair has a side in both.
    changed : array of shape (principles,)
        Share of pairs on which the verdict is another one when swapped, with "not applicable" as a verdict.
    first : array of shape (principles,)
        Among verdicts for a side, the share for the response shown first; 0.5 without bias, NaN where there is none.
    pairs : int
        Pairs shown in both orders.
    """

    principles: tuple[str, ...]
    conflict: Float[np.ndarray, " principles"]
    changed: Float[np.ndarray, " principles"]
    first: Float[np.ndarray, " principles"]
    pairs: int

    @classmethod
    def of(
        cls,
        principles: Sequence[str],
        forward: Float[np.ndarray, "pairs principles sides"],
        backward: Float[np.ndarray, "pairs principles sides"],
    ) -> OrderSwap:
        """Of probabilities (left, right) when left is shown first (`forward`), and when right is (`backward`)."""
        signs = [_signs(shown) for shown in (forward, backward)]
        both = (signs[0] != 0) & (signs[1] != 0)
        opposite = both & (signs[0] != signs[1])
        sides = (signs[0] != 0).sum(axis=0) + (signs[1] != 0).sum(axis=0)
        first = (signs[0] > 0).sum(axis=0) + (signs[1] < 0).sum(axis=0)
        n = len(forward)
        with np.errstate(invalid="ignore", divide="ignore"):
            return cls(
                tuple(principles),
                opposite.sum(axis=0) / both.sum(axis=0),
                (signs[0] != signs[1]).sum(axis=0) / np.float64(n),
                first / sides,
                n,
            )

    def only(self, principles: Sequence[str]) -> OrderSwap:
        """Of some of the principles."""
        rows = [self.principles.index(name) for name in principles]
        return OrderSwap(tuple(principles), self.conflict[rows], self.changed[rows], self.first[rows], self.pairs)

    def to_frame(self) -> pa.Table:
        """Columns `principle, conflict, changed, first`."""
        return pa.table(
            {
                "principle": list(self.principles),
                "conflict": self.conflict,
                "changed": self.changed,
                "first": self.first,
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain types."""
        return json_ready({"pairs": self.pairs, "principles": self.to_frame().to_pylist()})

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), allow_nan=False)

    def __repr__(self) -> str:
        table = format_table({name: self.to_frame()[name].to_pylist() for name in self.to_frame().column_names}, 3)
        return f"OrderSwap of {self.pairs:,} pairs\n{table}"


def _signs(sides: Float[np.ndarray, "pairs principles sides"]) -> np.ndarray:
    left, right = sides[..., 0], sides[..., 1]
    neither = 1.0 - left - right
    silent = (neither > left) & (neither > right)
    return np.where(silent, 0, np.sign(left - right)).astype(np.int8)
