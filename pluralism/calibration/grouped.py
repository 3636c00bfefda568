"""One calibrator for each group that has the data for one, and the common one for the others."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from pluralism.calibration._inputs import as_probabilities, as_rows, check_values
from pluralism.calibration.isotonic import Isotonic
from pluralism.calibration.platt import Platt
from pluralism.calibration.tables import split_by_label
from pluralism.calibration.temperature import Temperature
from pluralism.calibration.text import format_table, json_ready
from pluralism.errors import DataError, NotFittedError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["GroupedCalibrator", "fit_grouped"]

Method = Literal["temperature", "platt", "isotonic"]
Calibrator = Temperature | Platt | Isotonic

METHODS: dict[str, Callable[[], Calibrator]] = {"temperature": Temperature, "platt": Platt, "isotonic": Isotonic}


class GroupedCalibrator:
    """Calibrate each group by itself where its data allow, and by everybody's rows where they do not.

    A model that is too sure about one group and not sure enough about another can have a temperature of 1 for all.

    Parameters
    ----------
    method : {"temperature", "platt", "isotonic"}
    min_rows : int
        Fewest decided rows of a group for a calibrator of its own. With 200 rows the standard error of a temperature
        is about a tenth of it.

    Attributes
    ----------
    pooled_ : Temperature, Platt or Isotonic
        Fitted on all rows.
    own_ : dict of str to Temperature, Platt or Isotonic
        Those of the groups that have one.
    sources_ : list of dict
        For each group, largest first: `group, n, decided, calibrator` ("own" or "pooled") and `reason`, which says why
        the group has none of its own.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.uniform(0.1, 0.9, 1050)
    >>> y, group = rng.random(1050) < truth, np.repeat(["many", "few"], [1000, 50])
    >>> GroupedCalibrator().fit(truth, y, group)
    GroupedCalibrator(method='temperature', min_rows=200)
    group  n     decided  calibrator  reason
    many   1000     1000  own
    few      50       50  pooled      fewer than 200 decided rows
    """

    pooled_: Calibrator
    own_: dict[str, Calibrator]
    sources_: list[dict[str, Any]]

    def __init__(self, *, method: Method = "temperature", min_rows: int = 200) -> None:
        self.method = method
        self.min_rows = min_rows

    def __repr__(self) -> str:
        head = f"GroupedCalibrator(method={self.method!r}, min_rows={self.min_rows})"
        if not hasattr(self, "sources_"):
            return head
        return head + "\n" + format_table({key: [row[key] for row in self.sources_] for key in self.sources_[0]})

    def fit(
        self,
        p: ArrayLike,
        y: ArrayLike,
        group: Sequence[Any] | np.ndarray,
        *,
        weight: ArrayLike | None = None,
    ) -> GroupedCalibrator:
        """Fit on rows that are used for nothing else.

        Parameters
        ----------
        p, y, weight
            As in `log_loss`.
        group : sequence of shape (pairs,)
            A label for each row.

        Raises
        ------
        DataError
            If not even all rows together can be calibrated.
        """
        if self.method not in METHODS:
            raise UsageError(f"method={self.method!r} is not possible.", fix=f"method is one of {', '.join(METHODS)}.")
        if self.min_rows < 1:
            raise UsageError(f"min_rows must be at least 1, not {self.min_rows!r}.", fix="Leave it at 200.")
        rows = check_values(as_rows(p, y, weight))
        self.pooled_ = METHODS[self.method]().fit(rows.p, rows.y, weight=rows.weight)
        self.own_, self.sources_ = {}, []
        for name, where in split_by_label(group, len(rows.p)):
            w = None if rows.weight is None else rows.weight[where]
            decided = int(((rows.y[where] != 0.5) & (True if w is None else w > 0)).sum())
            reason = ""
            if decided < self.min_rows:
                reason = f"fewer than {self.min_rows} decided rows"
            else:
                try:
                    self.own_[name] = METHODS[self.method]().fit(rows.p[where], rows.y[where], weight=w)
                except DataError as error:
                    reason = error.what
            self.sources_.append(
                {
                    "group": name,
                    "n": len(where),
                    "decided": decided,
                    "calibrator": "own" if name in self.own_ else "pooled",
                    "reason": reason,
                }
            )
        return self

    def transform(self, p: ArrayLike, group: Sequence[Any] | np.ndarray) -> Float[np.ndarray, " pairs"]:
        """Calibrated probabilities; groups never seen take the common calibrator."""
        if not hasattr(self, "own_"):
            raise NotFittedError("This calibrator has not been fitted.", fix="Call fit(p, y, group) first.")
        q = as_probabilities(p).astype(float)
        out = self.pooled_.transform(q)
        for name, where in split_by_label(group, len(q)):
            if name in self.own_:
                out[where] = self.own_[name].transform(q[where])
        return out

    def to_dict(self) -> dict[str, Any]:
        """What was fitted, and for whom."""
        return {
            "method": self.method,
            "min_rows": self.min_rows,
            "pooled": self.pooled_.to_dict(),
            "own": {name: found.to_dict() for name, found in self.own_.items()},
            "sources": self.sources_,
        }

    def to_frame(self) -> pa.Table:
        """One row a group: which calibrator it has, and why."""
        import pyarrow as pa

        return pa.Table.from_pylist(self.sources_)

    def to_json(self, *, indent: int | None = None) -> str:
        """Strict JSON text of `to_dict`."""
        return json.dumps(json_ready(self.to_dict()), allow_nan=False, indent=indent, ensure_ascii=False)


def fit_grouped(
    p: ArrayLike,
    y: ArrayLike,
    group: Sequence[Any] | np.ndarray,
    *,
    method: Method = "temperature",
    min_rows: int = 200,
    weight: ArrayLike | None = None,
) -> GroupedCalibrator:
    """`GroupedCalibrator(method=method, min_rows=min_rows).fit(p, y, group)`.

    Examples
    --------
    >>> p, y = np.tile([0.9, 0.2], 50), np.tile([1, 0, 1, 0, 0, 1, 1, 0, 1, 0], 10)
    >>> fit_grouped(p, y, ["a"] * 100, min_rows=50).sources_[0]["calibrator"]
    'own'
    """
    return GroupedCalibrator(method=method, min_rows=min_rows).fit(p, y, group, weight=weight)
