"""What principles say of comparisons: for each, how likely it favours the left item, the right one, or neither."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int8
from numpy.typing import ArrayLike

from pluralism.data.arrays import Column, as_indices, frozen
from pluralism.discretion.order_swap import OrderSwap
from pluralism.errors import DataError, UsageError

__all__ = ["PrinciplePreferences"]

ROUNDING = 1e-9


@dataclass(frozen=True, eq=False, repr=False, init=False)
class PrinciplePreferences:
    """Graded preferences of principles, a row for each comparison.

    Parameters
    ----------
    principles : sequence of str
        Distinct ids.
    left, right : arrays of shape (pairs, principles)
        Probability in [0, 1] that the principle favours the left or the right item. They sum to at most 1; the rest is
        the probability that it does not apply or favours neither.
    method : str
        How they were found.
    swap : OrderSwap, optional
        What showing the items in the other order changed, where a model judged.

    Raises
    ------
    DataError
        If a value is no probability, or left and right together exceed 1.

    Examples
    --------
    >>> PrinciplePreferences.from_signs(["kind", "brief"], [[1, -1], [0, 1]]).neither
    array([[0., 0.],
           [1., 0.]])
    """

    principles: tuple[str, ...]
    left: Float[np.ndarray, "pairs principles"]
    right: Float[np.ndarray, "pairs principles"]
    method: str
    swap: OrderSwap | None

    def __init__(
        self,
        principles: Sequence[str],
        left: ArrayLike,
        right: ArrayLike,
        *,
        method: str = "given",
        swap: OrderSwap | None = None,
    ) -> None:
        names = tuple(str(name) for name in principles)
        if not names or len(set(names)) < len(names):
            raise UsageError("Principles have different ids, and there is at least one.", fix="Rename one of them.")
        sides = [np.array(side, dtype=np.float64) for side in (left, right)]
        if any(side.ndim != 2 or side.shape != (len(sides[0]), len(names)) for side in sides):
            raise DataError(
                f"Probabilities of shapes {sides[0].shape} and {sides[1].shape} do not fit {len(names)} principles.",
                fix="Give a row for each comparison and a column for each principle.",
            )
        low, total = np.minimum(*sides), sides[0] + sides[1]
        wrong = ~(low >= -ROUNDING) | ~(total <= 1 + ROUNDING)
        if wrong.any():
            row, column = (int(k) for k in np.argwhere(wrong)[0])
            raise DataError(
                f"P(left) = {sides[0][row, column]:g} and P(right) = {sides[1][row, column]:g} are no probabilities of "
                "two of three outcomes.",
                where=f"row {row + 1}, principle {names[column]!r}",
                fix="Both are at least 0, and they sum to at most 1; the rest says that the principle does not apply.",
            )
        excess = np.maximum(total, 1.0)
        kept = [frozen(np.clip(side / excess, 0.0, 1.0)) for side in sides]
        self.__dict__.update(principles=names, left=kept[0], right=kept[1], method=method, swap=swap)

    @classmethod
    def from_signs(cls, principles: Sequence[str], signs: ArrayLike, *, method: str = "given") -> PrinciplePreferences:
        """Of numbers in [-1, 1], shape (pairs, principles): above 0 for the left item, below for the right one.

        The size is the probability of that side; 0 says that the principle does not apply.
        """
        values = np.asarray(signs, dtype=np.float64)
        if values.ndim != 2 or not (np.abs(values) <= 1).all():
            raise DataError(
                "Signs of principles are numbers in [-1, 1].",
                fix="Use 1 for the left item, -1 for the right one, 0 where the principle does not apply.",
            )
        return cls(principles, np.maximum(values, 0.0), np.maximum(-values, 0.0), method=method)

    def __len__(self) -> int:
        return len(self.left)

    @property
    def neither(self) -> Float[np.ndarray, "pairs principles"]:
        """Probability that the principle does not apply, or favours neither."""
        return np.clip(1.0 - self.left - self.right, 0.0, 1.0)

    def signs(self, threshold: float | None = None) -> Int8[np.ndarray, "pairs principles"]:
        """Decisions: 1 for the left item, -1 for the right one, 0 where the principle does not decide.

        Parameters
        ----------
        threshold : float, optional
            The principle decides where the probability of neither is at most this, and one side is likelier than the
            other. Left out, it decides unless neither is likelier than both sides (Buyl et al. 2025).
        """
        neither = self.neither
        if threshold is None:
            silent = (neither > self.left) & (neither > self.right)
        elif 0 <= threshold <= 1:
            silent = neither > threshold + ROUNDING
        else:
            raise UsageError(f"threshold={threshold!r} is no probability.", fix="Use a number from 0 to 1, or None.")
        lead = self.left - self.right
        return np.where(silent | (np.abs(lead) <= ROUNDING), 0, np.sign(lead)).astype(np.int8)

    def swapped(self) -> PrinciplePreferences:
        """Of the same comparisons with left and right exchanged."""
        return replace_sides(self, self.right, self.left)

    def take(self, index: Column | slice) -> PrinciplePreferences:
        """Rows of a mask, a slice or indices."""
        rows = as_indices(index, len(self))
        return replace_sides(self, self.left[rows], self.right[rows])

    def only(self, principles: Sequence[str]) -> PrinciplePreferences:
        """Some of the principles, in this order."""
        unknown = [name for name in principles if name not in self.principles]
        if unknown:
            raise UsageError(f"There is no principle {unknown[0]!r}.", fix=f"There are {', '.join(self.principles)}.")
        columns = [self.principles.index(name) for name in principles]
        swap = None if self.swap is None else self.swap.only(principles)
        return PrinciplePreferences(
            principles, self.left[:, columns], self.right[:, columns], method=self.method, swap=swap
        )

    def to_frame(self) -> pa.Table:
        """Long: columns `comparison` (from 0), `principle`, `left`, `right`, `neither`."""
        n, k = self.left.shape
        return pa.table(
            {
                "comparison": np.repeat(np.arange(n), k),
                "principle": pa.array(np.tile(np.array(self.principles, dtype=object), n), pa.string()),
                "left": self.left.ravel(),
                "right": self.right.ravel(),
                "neither": self.neither.ravel(),
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Ids, probabilities and method as plain types."""
        return {
            "principles": list(self.principles),
            "method": self.method,
            "left": self.left.tolist(),
            "right": self.right.tolist(),
            "swap": None if self.swap is None else self.swap.to_dict(),
        }

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)

    def __repr__(self) -> str:
        decided = 0.0 if not len(self) else float((self.signs() != 0).mean())
        said = f"{len(self):,} comparisons, {len(self.principles)} principles, {decided:.0%} decided, {self.method}"
        return f"PrinciplePreferences({said})"


def replace_sides(
    old: PrinciplePreferences, left: Float[np.ndarray, "pairs principles"], right: Float[np.ndarray, "pairs principles"]
) -> PrinciplePreferences:
    """The same principles with other probabilities."""
    return PrinciplePreferences(old.principles, left, right, method=old.method, swap=old.swap)
