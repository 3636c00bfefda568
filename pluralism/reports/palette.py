"""Colours and line styles of all figures: told apart by colour-blind readers, on white and on black, and in print.

Colour is never the only sign: groups are also told apart by their marker, their letter and their place.
"""

from __future__ import annotations

import numpy as np

__all__ = ["FOCUS", "INK", "POOLED", "diverging_class", "group_colour", "group_marker", "group_name"]

# Drawn as the colour of the surrounding text when a figure is put into a page, so that it follows light and dark.
INK = "#1b1f27"
FOCUS = "#0072b2"
POOLED = "#808891"

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


def group_name(group: int) -> str:
    """Name of a group for people: "Group A" is `group_0` in files.

    Examples
    --------
    >>> group_name(0), group_name(3), group_name(26)
    ('Group A', 'Group D', 'Group AA')
    """
    letters = ""
    while group >= 0:
        group, last = divmod(group, 26)
        letters = chr(ord("A") + last) + letters
        group -= 1
    return f"Group {letters}"


def diverging_class(value: float, scale: float) -> int:
    """Which of seven shades a value has, from -3 (far below 0) to 3; `scale` is the size at which shades saturate."""
    if not np.isfinite(value) or scale <= 0:
        return 0
    return int(np.clip(np.round(3.0 * value / scale), -3, 3))
