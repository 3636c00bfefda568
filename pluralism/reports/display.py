"""What all displays share: a figure of their own where none is given, tidy axes, SVG."""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import copy
from typing import TYPE_CHECKING, Self

from pluralism.figures import FONT_SIZE, own_axes, tidy, tidy_legend
from pluralism.reports.svg import figure_to_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FONT_SIZE", "Display", "tidy", "tidy_legend"]


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
        ax = own_axes(ax, width, height)
        self.ax_, self.figure_ = ax, ax.figure.canvas.figure
        return ax
