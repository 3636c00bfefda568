from __future__ import annotations

import numpy as np
import pytest

import pluralism as pl
from pluralism.data import Comparisons
from pluralism.errors import DataError
from pluralism.evaluation.leaks import shared_rows
from pluralism.evaluation.placement import likely_groups, place_users


@pytest.fixture(scope="module")
def parts(people):
    """Odd rows of the seen users; support (even) and test (odd) rows of users 40 to 54; odd rows of the rest."""
    data = people.comparisons
    odd = np.arange(len(data)) % 2 == 1
    test = data.take(odd)
    support = data.take(~odd & (data.user >= 40) & (data.user < 55))
    return test, support


def test_each_kind_of_user_is_placed_by_what_it_may_be_placed_by(fitted, parts, people) -> None:
    test, support = parts
    placement = place_users(fitted, test, support)
    assert placement.counts(test.user) == (40, 15, 5)
    group, certainty = likely_groups(fitted, test, placement)
    assert (group[55:] == -1).all()
    assert np.isnan(certainty[55:]).all()
    assert np.mean(group[:55] == people.truth.groups[:55]) > 0.9
    evaluation = pl.evaluate(fitted, test, support=support, n_bootstrap=0)
    assert (evaluation.n_users_seen, evaluation.n_users_supported, evaluation.n_users_prior) == (40, 15, 5)
    posterior = np.concatenate(
        [
            fitted.posterior_,
            fitted.adapt(support).posterior[40:55],
            np.tile(fitted.group_weights_, (5, 1)),
        ]
    )
    p = (posterior[test.user] * fitted.predict_group_proba(test)).sum(axis=1)
    assert evaluation.nll == pytest.approx(pl.calibration.log_loss(p, test.outcome), abs=1e-12)


def test_scored_answers_place_nobody(fitted, parts) -> None:
    """Turning the scored answers round changes the scores, but not one prediction."""
    test, support = parts
    flipped = Comparisons(**{**vars(test), "outcome": 1 - test.outcome})
    before, after = (pl.evaluate(fitted, part, support=support, n_bootstrap=0) for part in (test, flipped))
    assert after.accuracy == pytest.approx(1 - before.accuracy)
    assert after.ece_null_low == before.ece_null_low
    np.testing.assert_array_equal(after.reliability.confidence, before.reliability.confidence)


def test_support_of_a_training_user_does_not_replace_the_training_membership(fitted, parts, people) -> None:
    test, support = parts
    data = people.comparisons
    lies = data.take((data.user < 40) & (np.arange(len(data)) % 2 == 0))
    lies = Comparisons(**{**vars(lies), "outcome": 1 - lies.outcome})
    with_lies = pl.evaluate(fitted, test, support=support.concat(lies), n_bootstrap=0)
    assert with_lies.nll == pytest.approx(pl.evaluate(fitted, test, support=support, n_bootstrap=0).nll, abs=1e-12)


def test_support_helps_those_it_is_about(fitted, parts) -> None:
    test, support = parts
    theirs = test.take((test.user >= 40) & (test.user < 55))
    without, with_support = (pl.evaluate(fitted, theirs, support=s, n_bootstrap=0) for s in (None, support))
    assert with_support.nll < without.nll - 0.02
    assert without.n_users_prior == 15


def test_support_without_anything_of_use_is_no_support(fitted, parts) -> None:
    test, support = parts
    weightless = Comparisons(**{**vars(support), "weight": np.zeros(len(support))})
    for useless in (weightless, support.take(np.zeros(len(support), dtype=bool))):
        assert pl.evaluate(fitted, test, support=useless, n_bootstrap=0).n_users_supported == 0


def test_a_scored_row_among_the_support_is_refused_by_name_in_either_order(fitted, parts) -> None:
    test, support = parts
    row = 500
    leak = test.take(np.array([row])).swapped()
    with pytest.raises(
        DataError, match=f"(?s)1 of the scored.*support.*row {row + 1} .user 'user-{int(test.user[row])}'"
    ):
        pl.evaluate(fitted, test, support=support.concat(leak), n_bootstrap=0)


def test_shared_rows_by_brute_force_over_different_vocabularies() -> None:
    rng = np.random.default_rng(0)

    def draw(names: list[str]) -> Comparisons:
        left = rng.integers(0, 6, 80)
        return Comparisons.from_arrays(
            [names[i] for i in left],
            [names[i] for i in (left + rng.integers(1, 6, 80)) % 6],
            user=[f"u{k}" for k in rng.integers(0, 5, 80)],
            outcome=rng.choice([0, 0.5, 0.7, 1], 80),
        )

    def keys(data: Comparisons) -> list[tuple]:
        texts, users = data.items.texts.to_pylist(), data.users.to_pylist()
        out = []
        for u, a, b, y in zip(data.user, data.left, data.right, data.outcome, strict=True):
            ab = (texts[a], texts[b], float(y))
            out.append((users[u], *min(ab, (ab[1], ab[0], 1 - ab[2]))))
        return out

    first, second = draw(list("abcdef")), draw(list("fxdcba"))
    expected = [row for row, key in enumerate(keys(first)) if key in set(keys(second))]
    assert 0 < len(expected) < 80
    assert shared_rows(first, second).tolist() == expected
    assert len(shared_rows(first, draw(list("uvwxyz")))) == 0
