"""All checks of comparisons, in the order in which a report states them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pluralism.data.checks.answers import order_bias, tie_share
from pluralism.data.checks.connections import (
    connectedness,
    one_sided_items,
    separability_by_features,
    separability_by_items,
    unused_items,
)
from pluralism.data.checks.raters import contrary_raters, contrary_sources, random_raters
from pluralism.data.checks.rows import contradictory_duplicates, exact_duplicates, time_order, zero_weights
from pluralism.data.checks.texts import long_texts
from pluralism.data.checks.users import changing_groups, dominant_user, identical_users, single_judgements
from pluralism.data.checks.view import View, not_tested
from pluralism.data.report import Check

__all__ = ["NEEDING_OUTCOMES", "comparison_checks"]

_CHECKS: Mapping[str, Callable[[View], Check]] = {
    "exact duplicates": exact_duplicates,
    "contradictory duplicates": contradictory_duplicates,
    "weights of zero": zero_weights,
    "time order": lambda view: time_order(view, view.data.time),
    "over-long texts": lambda view: long_texts(view.data.items),
    "users with one judgement": single_judgements,
    "one user with most of the data": dominant_user,
    "users in several groups": changing_groups,
    "identical users": identical_users,
    "raters against the others": contrary_raters,
    "raters at random": random_raters,
    "sources against the others": contrary_sources,
    "order bias": order_bias,
    "tie share": tie_share,
    "connectedness": connectedness,
    "items never compared": unused_items,
    "items always or never preferred": one_sided_items,
    "separability by items": separability_by_items,
    "separability by features": separability_by_features,
}
NEEDING_OUTCOMES = (
    "exact duplicates",
    "contradictory duplicates",
    "identical users",
    "raters against the others",
    "raters at random",
    "sources against the others",
    "order bias",
    "tie share",
    "items always or never preferred",
    "separability by items",
    "separability by features",
)
"""Checks that mean nothing where the column 'outcome' is missing."""


def comparison_checks(
    view: View | None, *, without: Iterable[str] = (), why: str = "there are no good rows"
) -> list[Check]:
    """Run all checks; those in `without`, or all where there is no view, are stated as not tested for the reason."""
    skipped = set(without)
    return [
        not_tested(name, why) if view is None or name in skipped else check(view) for name, check in _CHECKS.items()
    ]
