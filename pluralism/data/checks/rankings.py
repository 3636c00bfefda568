"""All checks of rankings, in the order in which a report states them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from pluralism.data.checks.rows import zero_weights
from pluralism.data.checks.texts import long_texts
from pluralism.data.checks.users import dominant_user
from pluralism.data.checks.view import SHOWN, item_label, not_tested
from pluralism.data.graph import components, strong_components, undefeated_and_winless
from pluralism.data.rankings import Rankings
from pluralism.data.report import Check, tell

__all__ = ["RankingView", "ranking_checks"]


@dataclass(frozen=True)
class RankingView:
    """Rankings with 1-based numbers of their ballots; the members are those of `RowView`."""

    data: Rankings
    rows: Int[np.ndarray, " ballots"]
    known_users: bool = True

    @cached_property
    def size(self) -> Int[np.ndarray, " ballots"]:
        """Number of items on each ballot."""
        return np.diff(self.data.indptr)

    @cached_property
    def levels(self) -> Int[np.ndarray, " ballots"]:
        """Number of different ranks on each ballot."""
        opens = np.ones(len(self.data.item), dtype=np.int64)
        opens[1:] = (np.diff(self.data.ballot) != 0) | (np.diff(self.data.rank) != 0)
        return np.add.reduceat(opens, self.data.indptr[:-1]) if len(self.data) else opens

    @cached_property
    def used(self) -> Bool[np.ndarray, " items"]:
        """Items on a ballot that counts."""
        return np.bincount(self.data.item[self._counted_entries], minlength=self.data.n_items) > 0

    @cached_property
    def edges(self) -> tuple[Int[np.ndarray, " edges"], Int[np.ndarray, " edges"]]:
        """Wins between neighbours on a ballot, either way where they are tied; the other wins follow from these."""
        data = self.data
        next_to = np.flatnonzero((np.diff(data.ballot) == 0) & self._counted_entries[1:])
        tied = next_to[data.rank[next_to] == data.rank[next_to + 1]]
        winner = np.concatenate([data.item[next_to], data.item[tied + 1]])
        return winner, np.concatenate([data.item[next_to + 1], data.item[tied]])

    @cached_property
    def _counted_entries(self) -> Bool[np.ndarray, " entries"]:
        return (self.data.weight > 0)[self.data.ballot]

    def show(self, positions: Iterable[int], **more: Any) -> tuple[dict[str, Any], ...]:
        """The first few of these ballots as samples; `more` are sequences aligned with `positions`."""
        samples = []
        for place, position in enumerate(list(positions)[:SHOWN]):
            items = self.data.item[self.data.indptr[position] : self.data.indptr[position + 1]][:4]
            sample: dict[str, Any] = {
                "ballot": int(self.rows[position]),
                "user": self.user_label(int(self.data.user[position])),
                "ranks": ", ".join(item_label(self.data.items, int(item)) for item in items)
                + (", ..." if self.size[position] > 4 else ""),
            }
            samples.append(sample | {key: values[place] for key, values in more.items()})
        return tuple(samples)

    def user_label(self, code: int) -> str:
        """Label of a user."""
        return str(self.data.users[int(code)].as_py())

    def share(self, count: int) -> float:
        """Share of the ballots."""
        return count / len(self.data) if len(self.data) else 0.0


def ranking_checks(view: RankingView | None, *, why: str = "no good ballots") -> list[Check]:
    """Run all checks; without a view, all are stated as not tested for the reason."""
    return [not_tested(name, why) if view is None else check(view) for name, check in _CHECKS.items()]


def _several_ballots(view: RankingView) -> Check:
    times = np.bincount(view.data.user, minlength=view.data.n_users)
    several = np.flatnonzero(times > 1)
    active = int((times > 0).sum())
    return Check(
        "users with several ballots",
        "warning",
        len(several) == 0,
        f"{len(several):,} of {tell(active, 'user', 'cast')} several ballots."
        if len(several)
        else "Every user casts one ballot.",
        count=len(several),
        share=len(several) / active if active else 0.0,
        samples=tuple({"user": view.user_label(int(u)), "ballots": int(times[u])} for u in several[:SHOWN]),
        fix="If each may vote once, keep the last ballot; identical voters belong into the column 'weight'.",
    )


def _empty_ballots(view: RankingView) -> Check:
    silent = np.flatnonzero(view.levels < 2)
    n, alone = len(silent), int((view.size == 1).sum())
    return Check(
        "ballots that prefer nothing",
        "warning",
        n == 0,
        f"{tell(n, 'ballot', 'prefer')} nothing: {alone:,} with a single item, {n - alone:,} with all items equal."
        if n
        else "Every ballot prefers something.",
        count=n,
        share=view.share(n),
        samples=view.show(silent),
        fix="If items that are not named are meant to be worse, use to_comparisons(unlisted='below').",
        measures={"one_item": alone, "all_tied": n - alone},
    )


def _partial(view: RankingView) -> Check:
    n = int((view.size < view.data.n_items).sum())
    tied = int((view.levels < view.size).sum())
    return Check(
        "partial and tied ballots",
        "warning",
        True,
        f"{n:,} of {len(view.data):,} ballots rank some of the {view.data.n_items:,} items only; {tied:,} have ties.",
        measures={"partial": n, "tied": tied},
        count=n,
        share=view.share(n),
    )


def _unused_items(view: RankingView) -> Check:
    data = view.data
    rest = np.flatnonzero(~view.used)
    return Check(
        "items never ranked",
        "warning",
        len(rest) == 0,
        f"{len(rest):,} of {tell(data.n_items, 'item', 'are')} on no ballot."
        if len(rest)
        else f"All {data.n_items:,} items are ranked.",
        count=len(rest),
        share=len(rest) / data.n_items if data.n_items else 0.0,
        samples=tuple({"item": item_label(data.items, int(code))} for code in rest[:SHOWN]),
        fix="Their rewards rest on their features, or on the prior alone.",
    )


def _connectedness(view: RankingView) -> Check:
    data = view.data
    label = components(*view.edges, data.n_items)
    used = np.flatnonzero(view.used)
    _, first, sizes = np.unique(label[used], return_index=True, return_counts=True)
    n = len(sizes)
    return Check(
        "connectedness",
        "warning",
        n <= 1,
        f"The {int(view.used.sum()):,} ranked items fall into {n:,} components that share no ballot."
        if n > 1
        else f"All {int(view.used.sum()):,} ranked items hang together through ballots.",
        count=n if n > 1 else 0,
        share=1 - float(sizes.max()) / float(sizes.sum()) if n else 0.0,
        samples=tuple(
            {
                "component": k + 1,
                "items": int(sizes[k]),
                "such as": item_label(data.items, int(used[i])),
            }
            for k, i in enumerate(first[:SHOWN])
        )
        if n > 1
        else (),
        fix="Compare rewards only within a component.",
        measures={"components": n},
    )


def _one_sided(view: RankingView) -> Check:
    data = view.data
    best, worst = undefeated_and_winless(*view.edges, data.n_items)
    items = np.flatnonzero(best | worst)
    return Check(
        "items always or never preferred",
        "warning",
        len(items) == 0,
        f"{tell(int(best.sum()), 'item', 'lead')} all ballots that list them, and {int(worst.sum()):,} end all."
        if len(items)
        else "Every item is preferred at least once and not always.",
        count=len(items),
        share=len(items) / max(int(view.used.sum()), 1),
        samples=tuple(
            {"item": item_label(data.items, int(item)), "preferred": "always" if best[item] else "never"}
            for item in items[:SHOWN]
        ),
        fix="Keep the default ridge: without a prior the rewards of these items are infinite.",
        measures={"always": int(best.sum()), "never": int(worst.sum())},
    )


def _separability(view: RankingView) -> Check:
    strong, weak = strong_components(*view.edges, view.data.n_items), components(*view.edges, view.data.n_items)
    n_strong, n_weak = len(np.unique(strong[view.used])), len(np.unique(weak[view.used]))
    return Check(
        "separability by items",
        "warning",
        n_strong == n_weak,
        f"Wins do not lead from every item to every other: the items fall into {n_strong:,} strongly connected sets "
        f"(one to a component would be {n_weak:,}), so rewards per item have no finite best fit without a prior."
        if n_strong > n_weak
        else "A chain of wins leads from every item to every other of its component.",
        count=n_strong - n_weak,
        share=(n_strong - n_weak) / max(int(view.used.sum()), 1),
        fix="Keep the default ridge, which makes rewards finite.",
        measures={"strong_components": n_strong, "components": n_weak},
    )


_CHECKS: Mapping[str, Callable[[RankingView], Check]] = {
    "weights of zero": zero_weights,
    "over-long texts": lambda view: long_texts(view.data.items),
    "one user with most of the data": dominant_user,
    "users with several ballots": _several_ballots,
    "ballots that prefer nothing": _empty_ballots,
    "partial and tied ballots": _partial,
    "items never ranked": _unused_items,
    "connectedness": _connectedness,
    "items always or never preferred": _one_sided,
    "separability by items": _separability,
}
