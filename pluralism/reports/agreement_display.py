"""Where groups agree and where they split: the most telling texts, one a line, with a mark for each group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
from jaxtyping import Float

from pluralism.reports.display import FONT_SIZE, Display, tidy, tidy_legend
from pluralism.reports.palette import INK, group_colour, group_marker, group_name
from pluralism.reports.preferences import group_preferences
from pluralism.reports.text import label, signed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from pluralism.data import Comparisons
    from pluralism.models import PreferenceModel

__all__ = ["AgreementDisplay"]

TEXT_LIMIT = 66


class AgreementDisplay(Display):
    """Rewards of chosen items in each group, on one line an item; a long line between the marks is a split.

    Parameters
    ----------
    blocks : sequence of (heading, item names, array of shape (items, groups))
        What is drawn together under a heading, such as "Liked by all groups"; rewards in logits, relative to other
        texts for the same prompt.
    groups : sequence of str, optional
        Names of the groups.
    """

    def __init__(
        self,
        blocks: Sequence[tuple[str, Sequence[str], Float[np.ndarray, "items groups"]]],
        *,
        groups: Sequence[str] | None = None,
    ) -> None:
        self.blocks = [(heading, list(names), np.asarray(reward)) for heading, names, reward in blocks if len(names)]
        n_groups = self.blocks[0][2].shape[1] if self.blocks else 0
        self.groups = list(groups) if groups is not None else [group_name(k) for k in range(n_groups)]

    @classmethod
    def from_model(cls, model: PreferenceModel, data: Comparisons, *, n: int = 4) -> Self:
        """The `n` items of `data` that all groups like, those that all dislike, and those that split them most."""
        found = group_preferences(model, data)
        names = (found.items.ids if found.items.texts is None else found.items.texts).to_pylist()

        def block(heading: str, positions: np.ndarray) -> tuple[str, list[str], np.ndarray]:
            return heading, [names[i] for i in found.item[positions]], found.reward[positions]

        return cls(
            [
                block("Liked by all groups", found.shared(n)),
                block("Disliked by all groups", found.shared(n, liked=False)),
                block("Splitting the groups", found.divisive(n)),
            ]
        )

    def describe(self) -> str:
        """The rewards of all lines in words."""
        parts = []
        for heading, names, reward in self.blocks:
            lines = [
                f"{label(name, TEXT_LIMIT)} ({', '.join(signed(value, 1) for value in row)})"
                for name, row in zip(names, reward, strict=True)
            ]
            parts.append(f"{heading}: " + "; ".join(lines))
        return f"Rewards in {', '.join(self.groups)}. " + ". ".join(parts) + "."

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the lines, block under block, each under its text."""
        n_lines = sum(len(names) for _, names, _ in self.blocks)
        ax = self._start(ax, 5.2, 1.0 + 0.36 * (n_lines + len(self.blocks)))
        beside = ax.get_yaxis_transform()
        place, names_drawn = 0.0, [label(name, 24) for name in self.groups]
        for heading, names, reward in self.blocks:
            ax.text(
                0.0, place, heading, transform=beside, va="center", fontsize=FONT_SIZE, fontweight="bold", color=INK
            )
            for name, row in zip(names, reward, strict=True):
                place += 1.0
                shown = label(name, TEXT_LIMIT)
                ax.text(0.0, place - 0.3, shown, transform=beside, va="center", fontsize=FONT_SIZE - 0.5, color=INK)
                ax.hlines(place + 0.12, row.min(), row.max(), colors=INK, alpha=0.3, linewidth=2.2)
                for k, value in enumerate(row):
                    ax.plot(
                        value,
                        place + 0.12,
                        group_marker(k),
                        color=group_colour(k),
                        markersize=6,
                        markeredgewidth=0,
                        label=names_drawn[k],
                    )
            place += 1.0
        ax.axvline(0.0, color=INK, linewidth=0.8, alpha=0.4)
        ax.set_yticks([])
        ax.set_ylim(place - 0.4, -0.5)
        tidy(ax, grid="x", xlabel="reward relative to other texts (logits); right is liked")
        ax.spines["left"].set_visible(False)
        handles, _ = ax.get_legend_handles_labels()
        tidy_legend(
            ax,
            handles=handles[: len(self.groups)],
            loc="lower right",
            bbox_to_anchor=(1.0, 1.0),
            ncols=min(len(self.groups), 5),
            columnspacing=1.2,
        )
        return self
