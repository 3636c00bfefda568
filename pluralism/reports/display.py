"""What all displays share: a figure of their own where none is given, tidy axes, SVG."""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import copy
from typing import TYPE_CHECKING, Any, Literal, Self

from pluralism.reports.palette import INK
from pluralism.reports.svg import figure_to_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Display"]

FONT_SIZE = 9.0


class Display(ABC):
    """A plot that is data first: built from results, drawn by `plot`, as often as wanted and on any axes.

    After `plot`, `figure_` and `ax_` are matplotlib's. No state of pyplot is touched: a figure drawn here is shown by
    the notebook, saved with ``display.figure_.savefig(path)``, and gone when nothing refers to it.
    """

    figure_: Figure
    ax_: Axes

    @abstractmethod
    def plot(self, ax: Axes | None = None) -> Self:
        """Draw on `ax`, or on a figure of its own."""

    @abstractmethod
    def describe(self) -> str:
        """What the plot shows, in a sentence or two with its numbers: for readers who do not see it."""

    def to_svg(self, *, key: str = "figure", title: str | None = None, standalone: bool = True) -> str:
        """The plot as an `<svg>` element, drawn first where it has not been drawn.

        Parameters
        ----------
        key : str
            Prefix of all ids.
        title : str, optional
            What a screen reader calls the figure.
        standalone : bool
            Whether it is a file of its own, or part of a page.
        """
        drawn = self if hasattr(self, "figure_") else copy(self).plot()
        title = title or type(self).__name__.removesuffix("Display")
        return figure_to_svg(drawn.figure_, key=key, title=title, description=self.describe(), standalone=standalone)

    def _repr_svg_(self) -> str:
        return self.to_svg()

    def _start(self, ax: Axes | None, width: float, height: float) -> Axes:
        """The axes to draw on; sizes in inches are those of a figure of its own."""
        if ax is None:
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure

            figure = Figure(figsize=(width, height), dpi=144, facecolor="white", layout="constrained")
            FigureCanvasAgg(figure)
            ax = figure.add_subplot()
        self.ax_, self.figure_ = ax, ax.figure.canvas.figure
        return ax


def tidy(ax: Axes, *, grid: Literal["x", "y", "both"] | None = None, title: str = "", **labels: Any) -> None:
    """House style of one pair of axes: few lines, readable type, every colour stated.

    Parameters
    ----------
    grid : {"x", "y", "both"}, optional
    labels
        `xlabel`, `ylabel`.
    """
    ax.set_facecolor("none")
    for side, spine in ax.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(INK)
        spine.set_alpha(0.4)
        spine.set_linewidth(0.8)
    ax.tick_params(colors=INK, labelsize=FONT_SIZE, length=3, width=0.6)
    if grid:
        ax.grid(visible=True, axis=grid, color=INK, alpha=0.12, linewidth=0.6)
        ax.set_axisbelow(True)
    for axis, name in ((ax.xaxis, "xlabel"), (ax.yaxis, "ylabel")):
        axis.label.set_color(INK)
        axis.label.set_fontsize(FONT_SIZE)
        if name in labels:
            axis.set_label_text(labels[name])
    if title:
        ax.set_title(title, fontsize=FONT_SIZE + 1, color=INK, loc="left", fontweight="bold")


def tidy_legend(ax: Axes, **options: Any) -> None:
    """A legend without a frame, in the house's type."""
    legend = ax.legend(frameon=False, fontsize=FONT_SIZE - 0.5, labelcolor=INK, handlelength=1.6, **options)
    legend.set_zorder(5)
