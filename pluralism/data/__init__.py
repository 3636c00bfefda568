"""Where data come in: readers, containers, checks, splits, and simulated populations.

The containers are immutable: `Items` (what is judged), `Comparisons` (who preferred which of two), `Ratings` (who
gave an item which value) and `Rankings` (who ordered items how). They read files and frames, say what is wrong with
them, and write them back.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_NAMES = {
    "Comparisons": "comparisons",
    "DataReport": "report",
    "Items": "items",
    "Rankings": "rankings",
    "Ratings": "ratings",
    "Simulation": "simulate",
    "check_file": "check",
    "check_frame": "check",
    "simulate_ideal_points": "simulate",
    "simulate_mixture": "simulate",
}

__all__ = [
    "Comparisons",
    "DataReport",
    "Items",
    "Rankings",
    "Ratings",
    "Simulation",
    "check_file",
    "check_frame",
    "simulate_ideal_points",
    "simulate_mixture",
]

if TYPE_CHECKING:
    from pluralism.data.check import check_file, check_frame
    from pluralism.data.comparisons import Comparisons
    from pluralism.data.items import Items
    from pluralism.data.rankings import Rankings
    from pluralism.data.ratings import Ratings
    from pluralism.data.report import DataReport
    from pluralism.data.simulate import Simulation, simulate_ideal_points, simulate_mixture


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(f"pluralism.data.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'pluralism.data' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
