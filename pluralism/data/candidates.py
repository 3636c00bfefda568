"""Tables of candidates: items among which a policy chooses, with their probabilities under a reference policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from pluralism.data.columns import number_column
from pluralism.data.files_io import read_source
from pluralism.data.item_columns import items_from_source
from pluralism.data.items import Items
from pluralism.errors import DataError

__all__ = ["read_candidates"]

CHANCES = ("reference", "log_reference")


def read_candidates(
    path: str | Path, *, columns: Mapping[str, str] | None = None, features: str | Path | None = None
) -> tuple[Items, Float[np.ndarray, " items"] | None]:
    """Read candidates from a file: `id`, `text`, perhaps `prompt`, and perhaps `reference` or `log_reference`.

    Parameters
    ----------
    path : str or Path
    columns, features
        As in `Items.read`.

    Returns
    -------
    items : Items
    log_reference : array of shape (items,) or None
        Logarithms of the probabilities under the reference, not normalised; None where the file has neither column.

    Raises
    ------
    DataError
        If there is no candidate, or a probability is missing, negative or no number.
    """
    source = read_source(path).renamed(columns)
    if "id" not in source or ("text" not in source and features is None):
        raise DataError(
            "Candidates have the columns id and text, and perhaps prompt and reference.",
            where=f"{source.name}; columns: {', '.join(map(repr, source.columns))}",
            fix="Add what is missing, or name the columns with --column; ids without texts need --features.",
        )
    if source.n_rows == 0:
        raise DataError("There is no candidate.", where=source.name, fix="Give one row a candidate.")
    given = [name for name in CHANCES if name in source]
    if len(given) == 2:
        raise DataError(
            "The candidates have both reference and log_reference.", where=source.name, fix="Keep one of the columns."
        )
    others = {name: column for name, column in source.columns.items() if name not in CHANCES}
    items = items_from_source(replace(source, columns=others), features)
    if not given:
        return items, None
    log = source.log()
    values = number_column(source, given[0], log, low=0.0 if given[0] == "reference" else -np.inf)
    log.settle()
    if given[0] == "reference":
        with np.errstate(divide="ignore"):
            values = np.log(values)
    return items, values
