"""What the checks of comparisons look at: the rows, where they stand in the file, and how they are shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int

from pluralism.data.comparisons import Comparisons
from pluralism.data.report import Check
from pluralism.data.units import dense_codes, user_pairs

if TYPE_CHECKING:
    from pluralism.data.rankings import Rankings
    from pluralism.data.ratings import Ratings

__all__ = ["SHOWN", "RowView", "View", "item_label", "not_tested"]

SHOWN = 5


class RowView(Protocol):
    """What checks of any container need: its rows, their numbers, and how to show them."""

    @property
    def data(self) -> Comparisons | Ratings | Rankings:
        """The container."""

    @property
    def rows(self) -> Int[np.ndarray, " rows"]:
        """1-based row numbers."""

    @property
    def known_users(self) -> bool:
        """Whether the users are people."""

    def show(self, positions: Iterable[int], **more: Any) -> tuple[dict[str, Any], ...]:
        """The first few of these rows as samples."""

    def user_label(self, code: int) -> str:
        """Label of a user."""

    def share(self, count: int) -> float:
        """Share of the rows."""


@dataclass(frozen=True)
class View:
    """Comparisons with their 1-based row numbers.

    Parameters
    ----------
    data : Comparisons
    rows : (pairs,) int
        Where each comparison stands in the file or frame it was read from, header not counted.
    ordered : bool
        Whether left and right are as they were shown; False for files of chosen and rejected texts.
    known_users : bool
        Whether the users are people; False where no column says who judged.
    """

    data: Comparisons
    rows: Int[np.ndarray, " pairs"]
    ordered: bool = True
    known_users: bool = True

    @cached_property
    def counted(self) -> Bool[np.ndarray, " pairs"]:
        """Rows that count, that is, with a positive weight."""
        return self.data.weight > 0

    @cached_property
    def pair(self) -> Int[np.ndarray, " pairs"]:
        """Code of the unordered pair of items of each row."""
        low = np.minimum(self.data.left, self.data.right).astype(np.int64)
        return dense_codes(low * max(len(self.data.items), 1) + np.maximum(self.data.left, self.data.right))

    @cached_property
    def user_pair(self) -> Int[np.ndarray, " pairs"]:
        """Code of user and unordered pair of each row."""
        return user_pairs(self.data.user, self.data.left, self.data.right, len(self.data.items))

    @cached_property
    def answer(self) -> Float[np.ndarray, " pairs"]:
        """1 where the item of the smaller code is preferred, -1 where the other is, 0 for ties."""
        return np.sign(self.data.outcome - 0.5) * np.where(self.data.left < self.data.right, 1, -1)

    def show(self, positions: Iterable[int], **more: Any) -> tuple[dict[str, Any], ...]:
        """The first few of these rows as samples; `more` are sequences aligned with `positions`."""
        samples = []
        for place, position in enumerate(list(positions)[:SHOWN]):
            sample: dict[str, Any] = {"row": int(self.rows[position])}
            if self.known_users:
                sample["user"] = self.data.users[int(self.data.user[position])].as_py()
            sample |= {
                "left": item_label(self.data.items, int(self.data.left[position])),
                "right": item_label(self.data.items, int(self.data.right[position])),
                "outcome": float(self.data.outcome[position]),
            }
            samples.append(sample | {key: values[place] for key, values in more.items()})
        return tuple(samples)

    def user_label(self, code: int) -> str:
        """Label of a user."""
        return str(self.data.users[int(code)].as_py())

    def share(self, count: int) -> float:
        """Share of the rows."""
        return count / len(self.data) if len(self.data) else 0.0


def item_label(items: Any, code: int) -> str:
    """The text of an item, or its id where it has none."""
    column: pa.LargeStringArray = items.ids if items.texts is None else items.texts
    return str(column[int(code)].as_py())


def not_tested(name: str, why: str) -> Check:
    """A check that does not apply to these data."""
    return Check(name, "warning", True, f"Not tested: {why}.", applies=False)
