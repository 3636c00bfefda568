"""The distinct pairs behind comparisons: what a judge is asked once, however many people answered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from pluralism.data import Comparisons, Items
from pluralism.discretion.preferences import PrinciplePreferences
from pluralism.errors import DataError

__all__ = ["DistinctPairs"]


@dataclass(frozen=True, eq=False)
class DistinctPairs:
    """Unordered pairs of items that occur in comparisons.

    Attributes
    ----------
    items : Items
    first, second : int arrays of shape (questions,)
        Items of each pair, the lower code first.
    of_row : int array of shape (pairs,)
        Which pair each row is about.
    turned : bool array of shape (pairs,)
        Whether the row's left item is the second of its pair.
    """

    items: Items
    first: Int[np.ndarray, " questions"]
    second: Int[np.ndarray, " questions"]
    of_row: Int[np.ndarray, " pairs"]
    turned: Bool[np.ndarray, " pairs"]

    @classmethod
    def of(cls, comparisons: Comparisons) -> DistinctPairs:
        """Of the rows of comparisons."""
        left, right = comparisons.left.astype(np.int64), comparisons.right.astype(np.int64)
        low, high = np.minimum(left, right), np.maximum(left, right)
        keys, of_row = np.unique(low * max(comparisons.n_items, 1) + high, return_inverse=True)
        first, second = np.divmod(keys, max(comparisons.n_items, 1))
        return cls(comparisons.items, first, second, of_row, left > right)

    def __len__(self) -> int:
        return len(self.first)

    def texts(self, question: int) -> tuple[str | None, str, str]:
        """Prompt (or None) and the two texts of a pair.

        Raises
        ------
        DataError
            The items have no texts, or answer different prompts: a judge would take one of them for an answer to the
            other's.
        """
        if self.items.texts is None:
            raise DataError("The items have no texts to judge.", fix="Give items with texts, or another oracle.")
        a, b = int(self.first[question]), int(self.second[question])
        prompts = self.items.prompts
        asked, other = (None, None) if prompts is None else (prompts[a].as_py(), prompts[b].as_py())
        if (asked or None) != (other or None):
            raise DataError(
                "The items of this pair answer different prompts.",
                where=f"items {self.items.ids[a]} and {self.items.ids[b]}",
                fix="Compare answers to the same prompt, or give items without prompts.",
            )
        return asked, self.items.texts[a].as_py(), self.items.texts[b].as_py()

    def to_rows(self, found: PrinciplePreferences) -> PrinciplePreferences:
        """Preferences on the pairs as those on the rows, each in its own order."""
        left, right = found.left[self.of_row], found.right[self.of_row]
        turned = self.turned[:, None]
        return PrinciplePreferences(
            found.principles,
            np.where(turned, right, left),
            np.where(turned, left, right),
            method=found.method,
            swap=found.swap,
        )
