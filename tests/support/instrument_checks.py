"""What every reading of an instrument can do."""

from __future__ import annotations

import json

import matplotlib
import pyarrow as pa
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def check_result(found, rows=None):
    """Frames, JSON, a repr and plots, on own and on given axes, with no state of pyplot touched."""
    frame = found.to_frame()
    assert isinstance(frame, pa.Table) and frame.num_rows > 0
    assert rows is None or frame.num_rows == rows
    assert json.loads(found.to_json())
    assert type(found).__name__ in repr(found)
    before = dict(matplotlib.rcParams)
    ax = found.plot()
    assert isinstance(ax.figure, Figure) and isinstance(ax.figure.canvas, FigureCanvasAgg)
    # A small figure, since drawing is what takes the time.
    given = FigureCanvasAgg(Figure(figsize=(2, 2), dpi=25)).figure.add_subplot()
    assert found.plot(given) is given
    assert given.has_data() and (given.get_xlabel() or given.get_ylabel())
    given.figure.canvas.draw()
    assert dict(matplotlib.rcParams) == before
