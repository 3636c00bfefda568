"""What the results of all instruments share: rows as a table, all of it as JSON, a plot."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pluralism.calibration.text import json_ready
from pluralism.figures import FOCUS, FONT_SIZE, INK, own_axes, tidy

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes

__all__ = ["InstrumentResult", "interval_dots"]


class InstrumentResult(ABC):
    """The reading of an instrument.

    `plot` draws on the axes given, or on a figure of its own, and returns the axes;
    ``found.plot().figure.savefig(path)`` writes it. No state of pyplot is touched.
    """

    @abstractmethod
    def to_frame(self) -> pa.Table:
        """The rows of the reading."""

    @abstractmethod
    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw it."""

    def to_dict(self) -> dict[str, Any]:
        """The rows of `to_frame` under "rows"."""
        return {"rows": self.to_frame().to_pylist()}

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as strict JSON text; null for NaN and infinities."""
        return json.dumps(json_ready(self.to_dict()), allow_nan=False, ensure_ascii=False, indent=indent)


def interval_dots(
    names: Sequence[str],
    values: Sequence[float] | np.ndarray,
    low: Sequence[float] | np.ndarray,
    high: Sequence[float] | np.ndarray,
    *,
    ax: Axes | None,
    xlabel: str,
    reference: float | None = None,
    title: str = "",
) -> Axes:
    """A dot and its interval for each name, from the top, with a dashed line at a value to compare with."""
    ax = own_axes(ax, 5.0, 1.0 + 0.32 * len(names))
    places = np.arange(len(names))
    if reference is not None:
        ax.axvline(reference, color=INK, alpha=0.5, linewidth=1.0, linestyle=(0, (4, 3)))
    ax.hlines(places, low, high, colors=FOCUS, linewidth=1.6, alpha=0.55)
    ax.plot(values, places, "o", color=FOCUS, markersize=5)
    ax.set_yticks(places, [name.replace("$", r"\$") for name in names], fontsize=FONT_SIZE)
    ax.set_ylim(len(names) - 0.5, -0.5)
    tidy(ax, grid="x", xlabel=xlabel, title=title)
    return ax
