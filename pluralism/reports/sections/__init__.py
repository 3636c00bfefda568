"""The parts of a report: each turns what was found into plain values and plots.

A part returns a dictionary of plain values (what the JSON holds and the page shows) and the displays it wants drawn.
Where something is missing, the dictionary says why under `missing`.
"""

from __future__ import annotations

__all__: list[str] = []
