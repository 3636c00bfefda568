"""Columns of a raw table: those that are missing, misspelt, or not read."""

from __future__ import annotations

from collections.abc import Sequence

from pluralism.data.columns import require_columns
from pluralism.data.report import Check
from pluralism.data.sources import Source
from pluralism.data.validate import likely_misspellings
from pluralism.errors import DataError

__all__ = ["given_columns", "missing_columns", "misspelt_columns"]


def given_columns() -> list[Check]:
    """The checks of columns for a container, which has them all."""
    return [
        Check("columns", "error", True, "All columns are there."),
        Check("misspelt columns", "warning", True, "No column is misspelt."),
    ]


def missing_columns(source: Source, needed: Sequence[str], contract: str) -> Check:
    """Needed columns that are not there, with the column that was probably meant."""
    missing = [name for name in needed if name not in source]
    try:
        require_columns(source, needed, contract)
    except DataError as error:
        return Check(
            "columns",
            "error",
            False,
            error.what,
            count=len(missing),
            share=len(missing) / len(needed),
            samples=tuple({"column": name} for name in missing),
            fix=error.fix or contract,
        )
    return Check("columns", "error", True, f"The columns {', '.join(map(repr, needed))} are there.")


def misspelt_columns(source: Source, known: Sequence[str]) -> Check:
    """Columns that are not read but are spelt almost like one that would be."""
    meant = likely_misspellings(source.columns, known)
    unread = [name for name in source.columns if name not in known and not name.startswith(("left.", "right."))]
    others = f" Not read: {', '.join(map(repr, unread))}." if unread else ""
    return Check(
        "misspelt columns",
        "warning",
        not meant,
        (
            f"{len(meant)} {'columns look' if len(meant) > 1 else 'column looks'} misspelt: "
            + ", ".join(f"{wrong!r} for {right!r}" for wrong, right in meant.items())
            + "."
            if meant
            else "No column is misspelt."
        )
        + others,
        count=len(meant),
        share=len(meant) / len(source.columns) if source.columns else 0.0,
        samples=tuple({"column": wrong, "meant": right} for wrong, right in meant.items()),
        fix=f"Rename them, or pass columns={ {right: wrong for wrong, right in meant.items()} }." if meant else "",
    )
