"""All checks of ratings, in the order in which a report states them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

from pluralism.data.checks.rows import repeated_rows, time_order, zero_weights
from pluralism.data.checks.texts import long_texts
from pluralism.data.checks.users import changing_groups, dominant_user, single_judgements
from pluralism.data.checks.view import SHOWN, item_label, not_tested
from pluralism.data.graph import components
from pluralism.data.ratings import Ratings
from pluralism.data.report import Check, tell
from pluralism.data.units import dense_codes

__all__ = ["RatingView", "rating_checks"]

FEWEST_ANSWERS = 5
"""Users with fewer ratings are not said to give one value only."""


@dataclass(frozen=True)
class RatingView:
    """Ratings with their 1-based row numbers; the members are those of `RowView`."""

    data: Ratings
    rows: Int[np.ndarray, " ratings"]
    known_users: bool = True

    def show(self, positions: Iterable[int], **more: Any) -> tuple[dict[str, Any], ...]:
        """The first few of these rows as samples; `more` are sequences aligned with `positions`."""
        samples = []
        for place, position in enumerate(list(positions)[:SHOWN]):
            sample: dict[str, Any] = {"row": int(self.rows[position])}
            if self.known_users:
                sample["user"] = self.user_label(int(self.data.user[position]))
            sample["item"] = item_label(self.data.items, int(self.data.item[position]))
            if len(self.data.attributes) > 1:
                sample["attribute"] = self.data.attributes[int(self.data.attribute[position])].as_py()
            sample["value"] = float(self.data.value[position])
            samples.append(sample | {key: values[place] for key, values in more.items()})
        return tuple(samples)

    def user_label(self, code: int) -> str:
        """Label of a user."""
        return str(self.data.users[int(code)].as_py())

    def share(self, count: int) -> float:
        """Share of the rows."""
        return count / len(self.data) if len(self.data) else 0.0


def rating_checks(view: RatingView | None, *, without: Iterable[str] = (), why: str = "no good rows") -> list[Check]:
    """Run all checks; those in `without`, or all where there is no view, are stated as not tested for the reason."""
    skipped = set(without)
    return [
        not_tested(name, why) if view is None or name in skipped else check(view) for name, check in _CHECKS.items()
    ]


def _exact(view: RatingView) -> Check:
    data = view.data
    columns = [data.value, data.attribute, data.item, data.user]
    return repeated_rows(view, columns if data.time is None else [*columns, data.time])


def _contradictory(view: RatingView) -> Check:
    data = view.data
    vote = data.user.astype(np.int64) * data.n_items + data.item
    vote = dense_codes(vote) * len(data.attributes) + data.attribute
    order = np.lexsort((data.value, vote))
    differ = (np.diff(vote[order]) == 0) & (np.diff(data.value[order]) != 0)
    torn = np.unique(vote[order][1:][differ])
    rows = np.flatnonzero(np.isin(vote, torn))
    rows = rows[np.lexsort((rows, vote[rows]))]
    n = len(rows)
    return Check(
        "contradictory duplicates",
        "warning",
        n == 0,
        f"{tell(n, 'row', 'contradict')} each other: a user gave several values to one item, {len(torn):,} times."
        if n
        else "Nobody gives an item two values.",
        count=n,
        share=view.share(n),
        samples=view.show(rows),
        fix="Keep the last one, or their mean, unless they measure how people's answers vary.",
        measures={"votes": len(torn)},
    )


def _single_value(view: RatingView) -> Check:
    value, times = np.unique(view.data.value, return_counts=True)
    share = view.share(int(times.max()))
    listed = ", ".join(f"{v:g}: {t:,}" for v, t in zip(value[:7], times[:7], strict=True))
    return Check(
        "values",
        "warning",
        len(value) > 1,
        f"There are {len(value):,} values ({listed}{', ...' if len(value) > 7 else ''})."
        if len(value) > 1
        else f"All ratings are {value[0]:g}: nothing says what anybody prefers.",
        count=int(times.max()) if len(value) == 1 else 0,
        share=share,
        fix="Check that the column 'value' is the right one.",
        measures={"values": len(value), "largest_share": share},
    )


def _constant_users(view: RatingView) -> Check:
    data = view.data
    n_ratings = np.bincount(data.user, minlength=data.n_users)
    low, high = np.full(data.n_users, np.inf), np.full(data.n_users, -np.inf)
    np.minimum.at(low, data.user, data.value)
    np.maximum.at(high, data.user, data.value)
    constant = np.flatnonzero((n_ratings >= FEWEST_ANSWERS) & (low == high))
    n, active = len(constant), int((n_ratings > 0).sum())
    return Check(
        "users with one value",
        "warning",
        n == 0,
        f"{tell(n, 'user')} with {FEWEST_ANSWERS} ratings or more gave all items the same value, and so prefer none."
        if n
        else f"Every user with {FEWEST_ANSWERS} ratings or more uses several values.",
        count=n,
        share=n / active if active else 0.0,
        samples=tuple(
            {"user": view.user_label(int(user)), "value": float(low[user]), "ratings": int(n_ratings[user])}
            for user in constant[:SHOWN]
        ),
        fix="Leave them out, or keep them as people without a preference: their pairs are all ties.",
    )


def _unused_items(view: RatingView) -> Check:
    data = view.data
    times = np.bincount(data.item, minlength=data.n_items)
    rest = np.flatnonzero(times == 0)
    return Check(
        "items never rated",
        "warning",
        len(rest) == 0,
        f"{len(rest):,} of {tell(data.n_items, 'item', 'are')} never rated."
        if len(rest)
        else f"All {data.n_items:,} items are rated.",
        count=len(rest),
        share=len(rest) / data.n_items if data.n_items else 0.0,
        samples=tuple({"item": item_label(data.items, int(code))} for code in rest[:SHOWN]),
        fix="Their rewards rest on their features, or on the prior alone.",
    )


def _connectedness(view: RatingView) -> Check:
    """Items are tied together by people who rated several of them."""
    data = view.data
    label = components(data.item, data.n_items + data.user, data.n_items + data.n_users)[: data.n_items]
    used = np.bincount(data.item, minlength=data.n_items) > 0
    _, first, sizes = np.unique(label[used], return_index=True, return_counts=True)
    n = len(sizes)
    return Check(
        "connectedness",
        "warning",
        n == 1,
        f"The {int(used.sum()):,} rated items fall into {n:,} components that share no user."
        if n > 1
        else f"All {int(used.sum()):,} rated items hang together through the users who rated them.",
        count=n if n > 1 else 0,
        share=1 - float(sizes.max()) / float(sizes.sum()),
        samples=tuple(
            {"component": k + 1, "items": int(sizes[k]), "such as": item_label(data.items, np.flatnonzero(used)[item])}
            for k, item in enumerate(first[:SHOWN])
        )
        if n > 1
        else (),
        fix="Compare rewards only within a component, or embed the texts so that features tie them together.",
        measures={"components": n, "largest": int(sizes.max())},
    )


_CHECKS: Mapping[str, Callable[[RatingView], Check]] = {
    "exact duplicates": _exact,
    "contradictory duplicates": _contradictory,
    "weights of zero": zero_weights,
    "time order": lambda view: time_order(view, view.data.time),
    "over-long texts": lambda view: long_texts(view.data.items),
    "users with one judgement": single_judgements,
    "one user with most of the data": dominant_user,
    "users in several groups": changing_groups,
    "values": _single_value,
    "users with one value": _constant_users,
    "items never rated": _unused_items,
    "connectedness": _connectedness,
}
