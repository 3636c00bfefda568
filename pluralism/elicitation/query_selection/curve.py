"""How well something is known after so many answers, by the way in which the questions were chosen."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

__all__ = ["LearningCurve"]


@dataclass(frozen=True, eq=False, repr=False)
class LearningCurve:
    """A measure after each round, for each way to choose.

    Attributes
    ----------
    methods : tuple of str
    answers : int array of shape (rounds,)
        How many answers were known.
    value : array of shape (methods, repeats, rounds)
        What was measured; repeats differ in their start, and are the same for all methods.
    measure : str
        Its name, such as "nll" or "tau".
    higher_is_better : bool
    """

    methods: tuple[str, ...]
    answers: Int[np.ndarray, " rounds"]
    value: Float[np.ndarray, "methods repeats rounds"]
    measure: str
    higher_is_better: bool

    def gains_over(self, other: str = "random") -> dict[str, Float[np.ndarray, " repeats"]]:
        """By how much each method is better than the other in each repeat, on average over rounds."""
        over = self.value.mean(axis=2) * (1.0 if self.higher_is_better else -1.0)
        base = over[self.methods.index(other)]
        return {name: over[i] - base for i, name in enumerate(self.methods)}

    def gain_over(self, other: str = "random") -> dict[str, float]:
        """`gains_over`, on average over repeats."""
        return {name: float(gains.mean()) for name, gains in self.gains_over(other).items()}

    def to_frame(self) -> pa.Table:
        """Columns `method, answers`, the measure (mean over repeats) and `standard_error` (null for one repeat)."""
        n = self.value.shape[1]
        error = self.value.std(axis=1, ddof=1) / np.sqrt(n) if n > 1 else np.full(self.value[:, 0].shape, np.nan)
        return pa.table(
            {
                "method": np.repeat(self.methods, len(self.answers)),
                "answers": np.tile(self.answers, len(self.methods)),
                self.measure: self.value.mean(axis=1).ravel(),
                "standard_error": pa.array(error.ravel(), mask=np.isnan(error.ravel())),
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """The measure and the rows of `to_frame`."""
        return {
            "measure": self.measure,
            "higher_is_better": self.higher_is_better,
            "curve": self.to_frame().to_pylist(),
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=indent)

    def __repr__(self) -> str:
        ends = ", ".join(f"{name} {self.value[i, :, -1].mean():.4f}" for i, name in enumerate(self.methods))
        after = f"{self.measure} after {int(self.answers[-1]):,} answers"
        return f"LearningCurve({self.value.shape[1]} repeats; {after}: {ends})"
