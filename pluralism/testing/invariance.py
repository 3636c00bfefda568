"""What must make no difference: sides, names, order, copies against weights, and strangers elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pluralism.data import Comparisons, Items
from pluralism.testing.case import Case, close, replaced
from pluralism.testing.outcome import Skip, require

__all__ = ["CHECKS"]


def swapping_sides_turns_predictions_round(case: Case) -> None:
    """P(left preferred) and P(right preferred) add to 1, for users and for groups."""
    case.needs_no_side()
    model, data = case.fitted, case.data
    swapped = data.swapped()
    close(model.predict_proba(data) + model.predict_proba(swapped), np.ones(len(data)), 1e-9, "p(i, j) + p(j, i)")
    both = model.predict_group_proba(data) + model.predict_group_proba(swapped)
    close(both, np.ones_like(both), 1e-9, "p(i, j) + p(j, i) in each group")


def the_side_shown_in_training_does_not_matter(case: Case) -> None:
    """Exchanging left and right in half of the rows, with their outcomes, leaves the fit as it is."""
    case.needs_no_side()
    data = case.data
    turned = np.random.default_rng(0).random(len(data)) < 0.5
    swapped = data.swapped()
    mixed = replaced(
        data,
        left=np.where(turned, swapped.left, data.left),
        right=np.where(turned, swapped.right, data.right),
        outcome=np.where(turned, swapped.outcome, data.outcome),
    )
    _same_predictions(case, mixed, "predictions after exchanging sides")


def row_order_does_not_matter(case: Case) -> None:
    """The same rows in another order lead to the same predictions."""
    order = np.random.default_rng(1).permutation(len(case.data))
    _same_predictions(case, case.data.take(order), "predictions after shuffling the rows")


def names_and_order_of_users_do_not_matter(case: Case) -> None:
    """Users renamed, in another order of the vocabulary, are predicted as before.

    Where the model draws by name (a bootstrap of people), the order alone is changed.
    """
    case.needs_fixed_settings()
    data = case.data
    order = np.random.default_rng(2).permutation(data.n_users)
    position = np.argsort(order)
    label = data.users.to_pylist().__getitem__ if case.draws_by_label else "someone {}".format
    renamed = replaced(data, users=[label(k) for k in order], user=position[data.user].astype(np.int32))
    found = case.fit(renamed).predict_proba(renamed)
    close(found, case.fitted.predict_proba(data), case.order_tolerance, "predictions after renaming the users")


def names_and_order_of_items_do_not_matter(case: Case) -> None:
    """Items renamed, in another order of the vocabulary, are rewarded as before."""
    case.needs_fixed_settings()
    data = case.data
    order = np.random.default_rng(3).permutation(data.n_items)
    position = np.argsort(order).astype(np.int32)
    features = np.asarray(data.items.features)[order]
    items = Items(ids=[f"thing {k}" for k in order]).with_features(features, case.space)
    renamed = replaced(data, items=items, left=position[data.left], right=position[data.right])
    found = case.fit(renamed).predict_proba(renamed)
    close(found, case.fitted.predict_proba(data), case.order_tolerance, "predictions after renaming the items")


def two_copies_of_a_row_are_a_row_of_weight_two(case: Case) -> None:
    """Repeating rows and weighting them come to the same."""
    case.needs_fixed_settings()
    data = case.data
    often = np.arange(len(data)) % 3 == 0
    copied = data.take(np.concatenate([np.arange(len(data)), np.flatnonzero(often)]))
    weighted = replaced(data, weight=np.where(often, 2.0, 1.0))
    expected = case.fit(copied).predict_proba(data)
    close(case.fit(weighted).predict_proba(data), expected, case.order_tolerance, "weight 2 against two copies")


def rows_of_weight_zero_are_absent(case: Case) -> None:
    """Contradicting rows of weight 0 leave the fit as it is."""
    case.needs_fixed_settings()
    data = case.data
    noise = replaced(data, outcome=1 - data.outcome, weight=np.zeros(len(data)))
    _same_predictions(case, data.concat(noise), "predictions after adding rows of weight 0")


def items_and_users_without_rows_do_not_matter(case: Case) -> None:
    """Unused entries of the vocabularies leave the fit as it is, and get finite rewards."""
    data = case.data
    features = np.asarray(data.items.features)
    more = np.concatenate([features, features[:5] + 0.5])
    ids = [*data.items.ids.to_pylist(), *(f"unused {k}" for k in range(5))]
    items = Items(ids=ids).with_features(more, case.space)
    wider = replaced(data, items=items, users=[*data.users.to_pylist(), "silent"])
    case.needs_fixed_settings()
    model = case.fit(wider)
    require(np.isfinite(model.reward(items)).all(), "rewards of unused items are not finite")
    close(model.predict_proba(data), case.fitted.predict_proba(data), case.tolerance, "predictions with unused entries")


def an_unrelated_part_leaves_other_contrasts_alone(case: Case) -> None:
    """Other people's answers about other items, along other features, do not move what is known of the first.

    Group weights are common to all people, hence the wider tolerance.
    """
    case.needs_fixed_settings()
    if not case.model.separates_parts:
        raise Skip("one network reads all answers")
    case.needs_separate_rewards()
    if "comparisons" not in case.model.takes:
        raise Skip("the coordinates are those of the ratings, and the other part's change their units")
    data = case.data
    features = np.asarray(data.items.features, dtype=np.float64)
    apart = np.zeros_like(features)
    known = Items(ids=data.items.ids).with_features(np.hstack([features, apart]), "check")
    elsewhere = Items(ids=[f"elsewhere {k}" for k in range(data.n_items)])
    other = replaced(
        data,
        items=elsewhere.with_features(np.hstack([apart, features]), "check"),
        users=[f"neighbour {k}" for k in range(data.n_users)],
    )
    alone = replaced(data, items=known)
    found = case.fit(alone.concat(other)).predict_proba(alone)
    close(found, case.fit(alone).predict_proba(alone), 20 * case.tolerance, "predictions beside an unrelated part")


def rewards_order_predictions(case: Case) -> None:
    """Within a group the item of higher reward is predicted to win, where no covariate says otherwise."""
    case.needs_no_side()
    if not case.model.transitive:
        raise Skip("the model's preferences may run in circles")
    if len(getattr(case.model, "covariates", ())) > 0:
        raise Skip("the model has covariates")
    reward = case.fitted.reward(case.data.items)
    difference = reward[case.data.left] - reward[case.data.right]
    p = case.fitted.predict_group_proba(case.data)
    clear = np.abs(difference) > 1e-6
    require(((p > 0.5) == (difference > 0))[clear].all(), "a lower reward is predicted to win")


def _same_predictions(case: Case, other: Comparisons, what: str) -> None:
    found = case.fit(other).predict_proba(case.data)
    close(found, case.fitted.predict_proba(case.data), case.order_tolerance, what)


CHECKS: dict[str, Callable[[Case], None]] = {
    check.__name__: check
    for check in (
        swapping_sides_turns_predictions_round,
        the_side_shown_in_training_does_not_matter,
        row_order_does_not_matter,
        names_and_order_of_users_do_not_matter,
        names_and_order_of_items_do_not_matter,
        two_copies_of_a_row_are_a_row_of_weight_two,
        rows_of_weight_zero_are_absent,
        items_and_users_without_rows_do_not_matter,
        an_unrelated_part_leaves_other_contrasts_alone,
        rewards_order_predictions,
    )
}
