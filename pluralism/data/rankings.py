"""Rankings: who put which items in which order, with ties and perhaps not all items, as immutable columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from jaxtyping import Float64, Int32, Int64

from pluralism.data.arrays import Column, as_indices, code_vector, frozen, refuse_rows
from pluralism.data.comparisons import Comparisons
from pluralism.data.items import Items
from pluralism.data.labels import distinct_labels
from pluralism.data.optional_columns import label_pair, weight_vector
from pluralism.data.report import DataReport
from pluralism.data.validate import Fault
from pluralism.errors import DataError
from pluralism.random import RNG

__all__ = ["Rankings"]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Rankings:
    """Immutable ballots, one a row, each a list of distinct items in weak order.

    The entries of all ballots lie one after the other: those of ballot b are the slice ``indptr[b]:indptr[b + 1]``.

    Parameters
    ----------
    items : Items
        What is ranked; an item may be on no ballot.
    users : LargeStringArray
        Distinct labels of those who rank.
    user : ndarray of int, shape (ballots,)
        Code of the user of each ballot.
    indptr : ndarray of int, shape (ballots + 1,)
        Where the entries of each ballot begin; every ballot has one or more.
    item : ndarray of int, shape (entries,)
        Codes of the items, best first.
    rank : ndarray of int, shape (entries,)
        Rank of each entry in its ballot: 0 is best, equal ranks are ties. Ranks never fall along a ballot. Their gaps
        mean nothing, unless `levels` names them.
    weight : ndarray of shape (ballots,), optional
        Finite, not negative: how many voters cast this ballot. Left out, every ballot counts once.
    group, groups : ndarray of int, shape (ballots,), and labels, optional
        A known group of each ballot's user (or -1).
    levels : sequence of str, optional
        Names of the ranks, where they are categories such as "approved" and "not approved".
    metadata : mapping of str to str
        What the file said of itself, such as its title.
    faults : tuple of Fault
        What was wrong with the rows that were left out when the data were read with ``strict=False``.

    Examples
    --------
    >>> ballots = Rankings.from_lists([["tea", ["milk", "gin"]], ["gin", "tea"]], user=["ann", "bob"])
    >>> ballots
    Rankings(2 ballots by 2 users of 3 items, 1 with ties, 1 not of all items)
    >>> ballots.to_lists()
    [[['tea'], ['milk', 'gin']], [['gin'], ['tea']]]
    """

    items: Items
    users: pa.LargeStringArray
    user: Int32[np.ndarray, " ballots"]
    indptr: Int64[np.ndarray, " bounds"]
    item: Int32[np.ndarray, " entries"]
    rank: Int32[np.ndarray, " entries"]
    weight: Float64[np.ndarray, " ballots"]
    group: Int32[np.ndarray, " ballots"] | None
    groups: pa.LargeStringArray | None
    levels: tuple[str, ...] | None
    metadata: Mapping[str, str]
    faults: tuple[Fault, ...]

    def __init__(
        self,
        items: Items,
        users: Column,
        user: Column,
        indptr: Column,
        item: Column,
        rank: Column,
        weight: Column | None = None,
        group: Column | None = None,
        groups: Column | None = None,
        levels: Sequence[str] | None = None,
        metadata: Mapping[str, str] | None = None,
        faults: tuple[Fault, ...] = (),
    ) -> None:
        n, n_entries = len(user), len(item)
        labels = distinct_labels(users, "users")
        bounds = frozen(np.array(indptr, dtype=np.int64))
        if bounds.shape != (n + 1,) or bounds[0] != 0 or bounds[-1] != n_entries:
            raise DataError(
                f"indptr does not cut {n_entries:,} entries into {n:,} ballots.",
                fix="Start with 0, end with the number of entries, one bound for each ballot in between.",
            )
        refuse_rows(np.diff(bounds) < 1, "A ballot ranks nothing", "Leave out empty ballots.")
        group_codes, group_labels = label_pair(group, groups, "group", n)
        n_ranks = np.iinfo(np.int32).max if levels is None else len(levels)
        columns: dict[str, Any] = {
            "items": items,
            "users": labels,
            "user": code_vector(user, "user", n, len(labels)),
            "indptr": bounds,
            "item": code_vector(item, "item", n_entries, len(items)),
            "rank": code_vector(rank, "rank", n_entries, n_ranks),
            "weight": weight_vector(weight, n),
            "group": group_codes,
            "groups": group_labels,
            "levels": None if levels is None else tuple(map(str, levels)),
            "metadata": dict(metadata or {}),
            "faults": tuple(faults),
        }
        ballot = np.repeat(np.arange(n), np.diff(bounds))
        falls = (np.diff(columns["rank"]) < 0) & (np.diff(ballot) == 0)
        refuse_rows(_mark(ballot[1:][falls], n), "Ranks fall along a ballot", "List the entries best first.")
        again = repeated_entries(ballot, columns["item"])
        refuse_rows(_mark(ballot[again], n), "A ballot ranks an item twice", "Keep one of the two entries.")
        self.__dict__.update(columns)

    @classmethod
    def from_lists(
        cls,
        ballots: Sequence[Sequence[Any]],
        *,
        user: Column | None = None,
        weight: Column | None = None,
        items: Items | None = None,
    ) -> Rankings:
        """Build rankings from lists: each ballot lists texts, or ids of `items`, best first; a list within is a tie.

        Without `user`, every ballot is by a user of its own, named by its number from 1.
        """
        columns: dict[str, Any] = {
            "user": np.arange(1, len(ballots) + 1) if user is None else user,
            "ranking": list(ballots),
        }
        return cls.from_frame(columns | ({} if weight is None else {"weight": weight}), items=items)

    @classmethod
    def read(
        cls,
        path: str | Path,
        *,
        items: str | Path | Items | None = None,
        features: str | Path | np.ndarray | None = None,
        columns: Mapping[str, str] | None = None,
        texts: bool | None = None,
        strict: bool = True,
    ) -> Rankings:
        """Read rankings from a file, in one of the two layouts of `pluralism.data.ranking_columns`, or from PrefLib.

        Parameters
        ----------
        path : str or Path
            Parquet, CSV or TSV, JSON lines (perhaps gzipped), Arrow or Feather; or PrefLib's .soc, .soi, .toc, .toi
            or .cat, which takes none of the other parameters.
        items, features, columns, texts, strict
            As in `Comparisons.read`.

        Raises
        ------
        DataError
            Naming file, row or line, and column of what is wrong, and how to mend it.
        """
        from pluralism.data.files_io import read_source
        from pluralism.data.item_columns import resolve_items
        from pluralism.data.preflib import SUFFIXES, read_preflib
        from pluralism.data.ranking_columns import rankings_from_source

        if Path(path).suffix.lower() in SUFFIXES:
            return read_preflib(path)
        known = resolve_items(items, features)
        return rankings_from_source(read_source(path), items=known, columns=columns, texts=texts, strict=strict)

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        *,
        items: str | Path | Items | None = None,
        features: str | Path | np.ndarray | None = None,
        columns: Mapping[str, str] | None = None,
        texts: bool | None = None,
        strict: bool = True,
    ) -> Rankings:
        """Build rankings from a frame; layouts and parameters as in `read`."""
        from pluralism.data.frames import frame_source
        from pluralism.data.item_columns import resolve_items
        from pluralism.data.ranking_columns import rankings_from_source

        known = resolve_items(items, features)
        return rankings_from_source(frame_source(frame), items=known, columns=columns, texts=texts, strict=strict)

    def to_comparisons(
        self,
        *,
        unlisted: Literal["ignore", "below"] = "ignore",
        max_pairs_per_ballot: int | None = None,
        rng: RNG = 0,
    ) -> Comparisons:
        """Compare any two items of a ballot; equal ranks are ties.

        Which item is left is drawn at random, and each pair has the weight of its ballot. The pairs of a ballot are
        not independent: the origin "rankings" tells models so.

        Parameters
        ----------
        unlisted : {"ignore", "below"}
            What it means that an item is not on a ballot: nothing, or that every listed item beats it.
        max_pairs_per_ballot : int, optional
            Draw this many pairs at random where a ballot's listed items have more; likewise for its pairs of a
            listed and an unlisted item.
        rng : int, Generator or None
        """
        from pluralism.data.ranking_pairs import comparisons_from_rankings

        return comparisons_from_rankings(self, unlisted, max_pairs_per_ballot, rng)

    def to_lists(self) -> list[list[list[str]]]:
        """Ballots as lists of tie groups, best first, of texts or, without texts, ids; empty levels are left out."""
        labels = (self.items.ids if self.items.texts is None else self.items.texts).to_pylist()
        names = [labels[code] for code in self.item]
        starts = [*np.flatnonzero(self._opens_tie()).tolist(), len(names)]
        ties = [names[a:b] for a, b in pairwise(starts)]
        bounds = np.searchsorted(starts[:-1], self.indptr)
        return [ties[a:b] for a, b in pairwise(bounds)]

    def to_arrow(self, layout: Literal["long", "list"] = "long", *, as_ids: bool | None = None) -> pa.Table:
        """Table in a layout that `read` takes: one row an entry ("long"), or one row a ballot ("list")."""
        from pluralism.data.ranking_columns import rankings_table

        return rankings_table(self, layout, as_ids)

    def write(self, path: str | Path, *, layout: Literal["long", "list"] = "long", as_ids: bool | None = None) -> None:
        """Write a file in the format of its suffix, whole or not at all; PrefLib's suffixes write PrefLib."""
        from pluralism.data.files_io import write_table
        from pluralism.data.preflib import SUFFIXES, write_preflib

        if Path(path).suffix.lower() in SUFFIXES:
            write_preflib(self, path)
        else:
            write_table(self.to_arrow(layout, as_ids=as_ids), path)

    def __len__(self) -> int:
        return len(self.user)

    def __repr__(self) -> str:
        n, users, items = len(self), len(self.users), len(self.items)
        tied = int(_mark(self.ballot[~self._opens_tie()], n).sum())
        partial = int((np.diff(self.indptr) < items).sum())
        parts = [
            f"{n:,} ballot{'s' * (n != 1)} by {users:,} user{'s' * (users != 1)} of {items:,} item{'s' * (items != 1)}",
            *([f"weights adding up to {self.weight.sum():,.6g}"] if np.any(self.weight != 1) else []),
            *([f"{tied:,} with ties"] if tied else []),
            *([f"{partial:,} not of all items"] if partial else []),
            *([f"levels {', '.join(self.levels)}"] if self.levels is not None else []),
            *([f"{self.items.dim} features ({self.items.feature_space})"] if self.items.features is not None else []),
        ]
        return f"Rankings({', '.join(parts)})"

    @property
    def n_users(self) -> int:
        """Number of users, with or without ballots."""
        return len(self.users)

    @property
    def n_items(self) -> int:
        """Number of items, ranked or not."""
        return len(self.items)

    @property
    def dim(self) -> int:
        """Number of columns of the features; 0 without."""
        return self.items.dim

    @property
    def ballot(self) -> Int64[np.ndarray, " entries"]:
        """The ballot of each entry."""
        return np.repeat(np.arange(len(self)), np.diff(self.indptr))

    def take(self, index: Column | slice) -> Rankings:
        """Ballots of a mask, a slice or indices; all users and items stay."""
        rows = as_indices(index, len(self))
        sizes = np.diff(self.indptr)[rows]
        bounds = np.concatenate([[0], np.cumsum(sizes)])
        entries = np.repeat(self.indptr[rows] - bounds[:-1], sizes) + np.arange(bounds[-1])
        names = ("user", "weight", "group")
        return self._replace(
            indptr=frozen(bounds.astype(np.int64)),
            item=frozen(self.item[entries]),
            rank=frozen(self.rank[entries]),
            **{name: frozen(getattr(self, name)[rows]) for name in names if getattr(self, name) is not None},
        )

    def embed(self, encoder: Any = "minilm", *, cache: Any = None, progress: bool = False, **options: Any) -> Rankings:
        """Encode each item's text once with a frozen encoder; see `Items.embed`."""
        return self._replace(items=self.items.embed(encoder, cache=cache, progress=progress, **options))

    def with_features(self, features: np.ndarray, space: str = "user") -> Rankings:
        """Attach one row of features for each item; see `Items.with_features`."""
        return self._replace(items=self.items.with_features(features, space))

    def with_items(self, items: Items) -> Rankings:
        """The same ballots of the same items, in the same order, perhaps with other texts or features."""
        if not items.ids.equals(self.items.ids):
            raise DataError("These are other items, or in another order.", fix="Change the items that the data have.")
        return self._replace(items=items)

    def check(self) -> DataReport:
        """Run every data check, and say of each whether it passed."""
        from pluralism.data.check import check_rankings

        return check_rankings(self)

    def split(
        self, test: float = 0.2, by: Literal["ballot", "user"] = "ballot", rng: RNG = 0
    ) -> tuple[Rankings, Rankings]:
        """Split into a training and a test part; see `pluralism.data.split.split_rankings`."""
        from pluralism.data.split import split_rankings

        return split_rankings(self, test=test, by=by, rng=rng)

    def _opens_tie(self) -> np.ndarray:
        """Mask of the entries that are the first of their ballot and rank."""
        opens = np.ones(len(self.item), dtype=bool)
        ballot = self.ballot
        opens[1:] = (np.diff(ballot) != 0) | (np.diff(self.rank) != 0)
        return opens

    def _replace(self, **changes: Any) -> Rankings:
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__ | changes)
        return new


def repeated_entries(ballot: np.ndarray, item: np.ndarray) -> np.ndarray:
    """Mask of the entries whose ballot lists the same item further up."""
    again = np.ones(len(item), dtype=bool)
    key = ballot.astype(np.int64) * (int(item.max(initial=0)) + 1) + item
    again[np.unique(key, return_index=True)[1]] = False
    return again


def _mark(rows: np.ndarray, n: int) -> np.ndarray:
    mask = np.zeros(n, dtype=bool)
    mask[rows] = True
    return mask
