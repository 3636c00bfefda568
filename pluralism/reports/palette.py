"""Colours and line styles of all figures: told apart by colour-blind readers, on white and on black, and in print.

Colour is never the only sign: groups are also told apart by their marker, their letter and their place.
"""

from __future__ import annotations

import numpy as np

from pluralism.figures import FOCUS, INK, POOLED, group_colour, group_marker

__all__ = ["FOCUS", "INK", "POOLED", "diverging_class", "group_colour", "group_marker", "group_name"]


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
