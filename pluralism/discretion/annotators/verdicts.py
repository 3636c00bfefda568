"""Verdicts of an annotator: how likely it prefers the left item of each comparison."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from numpy.typing import ArrayLike

from pluralism.calibration.text import json_ready
from pluralism.data.arrays import frozen
from pluralism.errors import DataError

__all__ = ["Verdicts"]

UNDECIDED = 1e-9


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Verdicts:
    """Verdicts on comparisons, by people or by a model.

    Parameters
    ----------
    name : str
        Of the annotator.
    left : array of shape (pairs,)
        Probability in [0, 1] that the left item is preferred: 1 and 0 are decisions, 0.5 is none, NaN where the
        annotator was not asked or did not answer.
    share : float, optional
        How large the group is whose verdicts these are, in [0, 1].
    conflict : float, optional
        Share of pairs on which a judge that saw both orders contradicts itself.

    Raises
    ------
    DataError
        If a value is no probability.

    Examples
    --------
    >>> Verdicts("ann", [1, 0, 0.5, float("nan")])
    Verdicts('ann', 4 comparisons, 2 decided)
    """

    name: str
    left: Float[np.ndarray, " pairs"]
    share: float | None
    conflict: float | None

    def __init__(
        self, name: str, left: ArrayLike, *, share: float | None = None, conflict: float | None = None
    ) -> None:
        values = np.array(left, dtype=np.float64)
        bad = np.flatnonzero((values < 0) | (values > 1)) if values.ndim == 1 else np.zeros(1, dtype=np.int64)
        if values.ndim != 1 or len(bad):
            raise DataError(
                "Verdicts are one probability of the left item for each comparison.",
                where=f"annotator {name!r}" + (f", row {int(bad[0]) + 1}" if values.ndim == 1 else ""),
                fix="Use 1 for left, 0 for right, 0.5 for neither, NaN where there is no answer.",
            )
        self.__dict__.update(name=str(name), left=frozen(values), share=share, conflict=conflict)

    def __len__(self) -> int:
        return len(self.left)

    @property
    def decided(self) -> np.ndarray:
        """Whether a side is preferred, for each comparison."""
        return ~np.isnan(self.left) & (np.abs(self.left - 0.5) > UNDECIDED)

    def sides(self, *, graded: bool) -> Float[np.ndarray, "pairs sides"]:
        """Mass on left and right: decisions, or with `graded` the probabilities; (0, 0) where there is no opinion."""
        if graded:
            known = ~np.isnan(self.left)
            p = np.where(known, self.left, 0.0)
            return np.stack([p, np.where(known, 1.0 - p, 0.0)], axis=1)
        left = self.decided & (np.nan_to_num(self.left, nan=0.5) > 0.5)
        return np.stack([left, self.decided & ~left], axis=1).astype(np.float64)

    def to_frame(self) -> pa.Table:
        """Columns `comparison` (from 0) and `left`, null where there is no answer."""
        return pa.table({"comparison": np.arange(len(self)), "left": pa.array(self.left, mask=np.isnan(self.left))})

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain types."""
        return json_ready({"name": self.name, "share": self.share, "conflict": self.conflict, "left": self.left})

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)

    def __repr__(self) -> str:
        return f"Verdicts({self.name!r}, {len(self):,} comparisons, {int(self.decided.sum()):,} decided)"
