"""House style of all figures: one pair of axes, colours that colour-blind readers tell apart, no state of pyplot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["FOCUS", "FONT_SIZE", "INK", "POOLED", "group_colour", "group_marker", "own_axes", "tidy", "tidy_legend"]

# Drawn as the colour of the surrounding text when a figure is put into a page, so that it follows light and dark.
INK = "#1b1f27"
FOCUS = "#0072b2"
POOLED = "#808891"
FONT_SIZE = 9.0

# After M. Okabe and K. Ito, "Color Universal Design" (2008), with its three light colours darkened so that each has a
# contrast of 3:1 with white.
_GROUPS = ("#0072b2", "#d55e00", "#00926b", "#c0629a", "#a67c00", "#3a8fc4", "#7a5195", "#70757c")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


def group_colour(group: int) -> str:
    """Colour of a group, by its number from 0; they repeat after eight."""
    return _GROUPS[group % len(_GROUPS)]


def group_marker(group: int) -> str:
    """Marker of a group, by its number from 0; colour and marker together repeat after 64."""
    return _MARKERS[(group + group // len(_MARKERS)) % len(_MARKERS)]


def own_axes(ax: Axes | None, width: float, height: float) -> Axes:
    """The axes to draw on: those given, or those of a new figure of this size in inches."""
    if ax is not None:
        return ax
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=144, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure.add_subplot()


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
