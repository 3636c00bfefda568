"""Exports of Polis conversations as ratings: agree 1, pass 0, disagree -1.

An export is a directory of CSV files; a prefix before their names is allowed:

======================= =============================================================================
votes.csv               one vote a row: timestamp (ms), datetime, comment-id, voter-id, vote
comments.csv            the statements: comment-id, comment-body, moderated (-1 rejected, 1 accepted)
participants-votes.csv  one row a participant: participant, group-id, and one column for each comment
======================= =============================================================================

A participant may vote again on a comment: the last vote counts, by timestamp and then by row. Without votes.csv the
votes come from the matrix in participants-votes.csv, which has no times. Where both are there they are compared.

References
----------
C. Small et al., Polis: Scaling Deliberation by Mapping High Dimensional Opinion Spaces, RECERCA 2021.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Bool

from pluralism.data.columns import plain_column, require_columns
from pluralism.data.files_io import read_source
from pluralism.data.item_columns import items_from_source
from pluralism.data.items import Items
from pluralism.data.labels import clean_labels, label_codes
from pluralism.data.rating_columns import ratings_from_source
from pluralism.data.ratings import Ratings
from pluralism.data.sources import Source
from pluralism.data.validate import to_numbers
from pluralism.errors import DataError, DataWarning

__all__ = ["read_polis"]

_VOTES = {"user": "voter-id", "item": "comment-id", "value": "vote"}


def read_polis(directory: str | Path, *, rejected: bool = True, strict: bool = True) -> Ratings:
    """Read the export of one conversation.

    Parameters
    ----------
    directory : str or Path
    rejected : bool
        Whether to keep the votes on comments that moderators rejected.
    strict : bool
        Whether bad rows stop the reading; else they are left out with a `DataWarning`.

    Returns
    -------
    Ratings
        Items have the comment ids and texts, users the participant ids, groups are those that Polis found, and times
        are in UTC.

    Raises
    ------
    DataError
        Naming file, row and column.
    """
    folder = Path(directory)
    if not folder.is_dir():
        raise DataError("There is no such directory.", where=str(folder), fix="Unpack the export and name its folder.")
    votes_file, comments_file = _find(folder, "votes.csv"), _find(folder, "comments.csv")
    matrix_file = _find(folder, "participants-votes.csv")
    if comments_file is None or (votes_file is None and matrix_file is None):
        raise DataError(
            "The export lacks comments.csv, or both votes.csv and participants-votes.csv.",
            where=f"{folder}, which holds {sorted(path.name for path in folder.iterdir())[:10]}",
            fix="Name the folder with the files of one conversation.",
        )
    comments = read_source(comments_file)
    items = _items(comments)
    matrix = None if matrix_file is None else read_source(matrix_file)
    if votes_file is not None:
        ratings = _last_votes(_vote_source(read_source(votes_file)), items, strict)
        if matrix is not None:
            _compare(ratings, _melted(matrix), str(matrix_file))
    elif matrix is not None:
        ratings = ratings_from_source(_melted(matrix), items=items, scale=(-1, 1), strict=strict)
    if matrix is not None:
        ratings = _with_groups(ratings, matrix)
    return ratings if rejected else ratings.take(~_rejected(comments, items)[ratings.item])


def _find(folder: Path, name: str) -> Path | None:
    found = [
        path
        for path in sorted(folder.iterdir())
        if path.name.lower().removesuffix(".gz").endswith(name)
        and (name == "participants-votes.csv" or "participants-votes" not in path.name.lower())
    ]
    if len(found) > 1:
        raise DataError(
            f"There are several files for {name}: {[path.name for path in found]}.",
            where=str(folder),
            fix="Put each conversation into a folder of its own.",
        )
    return found[0] if found else None


def _items(comments: Source) -> Items:
    require_columns(comments, ("comment-id", "comment-body"), "comments.csv has comment-id and comment-body.")
    return items_from_source(comments.only({"id": "comment-id", "text": "comment-body"}))


def _vote_source(votes: Source) -> Source:
    require_columns(votes, tuple(_VOTES.values()), "votes.csv has the columns timestamp, comment-id, voter-id, vote.")
    return votes.only(_VOTES | ({"time": "timestamp"} if "timestamp" in votes else {}))


def _last_votes(votes: Source, items: Items, strict: bool) -> Ratings:
    ratings = ratings_from_source(votes, items=items, scale=(-1, 1), strict=strict)
    n = len(ratings)
    time = np.full(n, -np.inf) if ratings.time is None else np.where(np.isnan(ratings.time), -np.inf, ratings.time)
    order = np.lexsort((np.arange(n), time, ratings.item, ratings.user))
    user, item = ratings.user[order], ratings.item[order]
    last = np.ones(n, dtype=bool)
    last[:-1] = (np.diff(user) != 0) | (np.diff(item) != 0)
    ratings = ratings.take(np.sort(order[last]))
    if ratings.time is None:
        return ratings
    stamps = np.full(len(ratings), np.datetime64("NaT", "ms"))
    given = ~np.isnan(ratings.time)
    stamps[given] = ratings.time[given].astype(np.int64).astype("datetime64[ms]")
    return ratings._replace(time=stamps)


def _melted(matrix: Source) -> Source:
    """The votes of the matrix, one a row."""
    require_columns(matrix, ("participant",), "participants-votes.csv has participant and a column for each comment.")
    names = [name for name in matrix.columns if name.isdecimal()]
    rows, comments, votes = [], [], []
    for name in names:
        values = to_numbers(plain_column(matrix[name]))
        voted = np.flatnonzero(~np.isnan(values))
        rows.append(voted)
        comments.append(np.full(len(voted), name))
        votes.append(values[voted])
    row = np.concatenate([np.zeros(0, dtype=np.int64), *rows])
    order = np.argsort(row, kind="stable")
    columns = {
        "user": plain_column(matrix["participant"]).take(pa.array(row[order])),
        "item": np.concatenate([np.zeros(0, dtype=str), *comments])[order],
        "value": np.concatenate([np.zeros(0), *votes])[order],
    }
    return Source.of_columns(columns, name=matrix.name)


def _compare(ratings: Ratings, melted: Source, name: str) -> None:
    """Warn if the last votes are not those of the matrix."""
    other = ratings_from_source(melted, items=ratings.items)
    code = label_codes(other.users, ratings.users).astype(np.int64)[other.user]
    known = code >= 0
    key = code * len(ratings.items) + other.item
    mine = ratings.user.astype(np.int64) * len(ratings.items) + ratings.item
    order = np.argsort(mine)
    place = np.minimum(np.searchsorted(mine[order], key), max(len(mine) - 1, 0))
    shared = known & (mine[order][place] == key) if len(mine) else np.zeros(len(key), dtype=bool)
    here = ratings.value[order][place[shared]]
    differ = int((here != other.value[shared]).sum())
    opposite = int((-here != other.value[shared]).sum())
    alone = len(mine) + len(key) - 2 * int(shared.sum())
    if differ > opposite:
        raise DataError(
            f"The votes have the opposite sign of the matrix in {differ:,} of {int(shared.sum()):,} cells.",
            where=name,
            fix="Some exports write -1 for agree: multiply the column 'vote' of votes.csv by -1.",
        )
    if differ or alone:
        warnings.warn(
            f"{name}: {differ:,} votes differ from those in votes.csv, and {alone:,} are in only one of the files.",
            DataWarning,
            stacklevel=4,
        )


def _with_groups(ratings: Ratings, matrix: Source) -> Ratings:
    if "group-id" not in matrix:
        return ratings
    log = matrix.log()
    participants = clean_labels(matrix["participant"], log, "participant")
    groups = clean_labels(matrix["group-id"], log, "group-id", nullable=True)
    log.settle()
    row = label_codes(ratings.users, participants)
    of_user = groups.take(pa.array(row, mask=row < 0))
    columns = {name: getattr(ratings, name) for name in ("items", "users", "user", "item", "value", "time", "faults")}
    return Ratings(**columns, scale=ratings.scale, group=of_user.take(pa.array(ratings.user)))


def _rejected(comments: Source, items: Items) -> Bool[np.ndarray, " items"]:
    require_columns(comments, ("moderated",), "comments.csv says in the column moderated what was rejected.")
    return np.asarray(to_numbers(plain_column(comments["moderated"])) == -1)
