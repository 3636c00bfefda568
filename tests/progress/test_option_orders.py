"""Whether content is told from place: the first thing a measure of values must do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluralism.errors import UsageError
from pluralism.progress.item_bank import ItemBank
from pluralism.progress.option_orders import all_orders, depermuted, rotations

SHARES = st.lists(st.floats(0.05, 1.0), min_size=2, max_size=4)


def shown(preference: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """Answers by place of an agent that judges by content."""
    return preference[orders]


@pytest.mark.parametrize("orders", [all_orders, rotations])
@given(weights=SHARES)
def test_a_judge_of_content_gets_its_own_preference_and_one_of_places_gets_none(orders, weights) -> None:
    preference = np.array(weights) / sum(weights)
    made = orders(len(weights))
    np.testing.assert_allclose(depermuted(shown(preference, made), made), preference)
    np.testing.assert_allclose(depermuted(np.tile(preference, (len(made), 1)), made), 1 / len(weights))


def test_permuting_twice_measures_places_alone() -> None:
    """The defect of the published scorer, and that ours does not have it."""
    orders = all_orders(2)
    places = np.argsort(orders, axis=1)
    by_content, by_place = shown(np.array([0.9, 0.1]), orders), np.tile([0.9, 0.1], (2, 1))
    for answers, measured, expected in ((by_content, [0.5, 0.5], [0.9, 0.1]), (by_place, [0.9, 0.1], [0.5, 0.5])):
        twice = np.mean([answers[o][places[o]][places[o]] for o in range(2)], axis=0)
        np.testing.assert_allclose(twice, measured)
        np.testing.assert_allclose(depermuted(answers, orders), expected)


def test_the_order_of_options_in_a_question_does_not_matter_to_a_score() -> None:
    bank = ItemBank.synthetic(5, n_evaluation=8, rng=1)
    rng = np.random.default_rng(0)
    policy = rng.dirichlet(np.ones(4), size=8)
    order = rng.permuted(np.tile(np.arange(4), (8, 1)), axis=1)
    moved = ItemBank(bank.query, np.take_along_axis(bank.evaluation, order[..., None], axis=1), bank.sharpness)
    again = np.take_along_axis(policy, order, axis=1)
    np.testing.assert_allclose(moved.behaviour(again), bank.behaviour(policy), atol=1e-12)
    np.testing.assert_allclose(moved.implied_values(again), bank.implied_values(policy), atol=1e-6)


def test_orders_that_are_none_are_refused() -> None:
    with pytest.raises(UsageError, match="every option once"):
        depermuted([[0.5, 0.5]], [[0, 0]])
    with pytest.raises(UsageError, match="do not fit"):
        depermuted([[0.5, 0.5]], [[0, 1], [1, 0]])
