from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pluralism import evaluate
from pluralism.data import Comparisons, Items
from pluralism.data.units import user_pairs
from pluralism.errors import ComponentWarning, DataError
from pluralism.models import BradleyTerry, Membership
from pluralism.reports.held_out import _split, aligned_groups, hold_out_rows, hold_out_users, refit, some_users

NAMES = ["Group A", "Group B"]


def test_a_refit_keeps_what_was_chosen(model, data):
    train, _ = data.split(test=0.3, by="user", rng=0)
    fresh = refit(model, train, 5)
    assert type(fresh) is type(model) and fresh is not model
    assert fresh.n_groups == fresh.n_groups_ == model.n_groups_ == 2
    assert (fresh.ridge_, fresh.item_precision_) == (model.ridge_, model.item_precision_)
    assert fresh.covariance_ is None and fresh.rng == 5 and fresh.covariates == model.covariates
    assert fresh.n_comparisons_ == len(train)
    assert (model.n_groups, model.rng, model.n_comparisons_) == ("auto", 0, len(data))


@pytest.mark.parametrize("item_effects", [False, 3.0])
def test_a_refit_to_the_same_data_is_the_same_model(data, item_effects):
    model = BradleyTerry(ridge=2.0, item_effects=item_effects).fit(data)
    assert refit(model, data, 0).reward(data.items) == pytest.approx(model.reward(data.items), abs=1e-5)


def test_an_item_only_refit_keeps_its_precision(data):
    items = Items(ids=data.items.ids)
    bare = Comparisons(items, data.users, data.user, data.left, data.right, data.outcome)
    with pytest.warns(ComponentWarning):
        model = BradleyTerry(ridge=2.5).fit(bare)
    assert refit(model, bare, 0).item_precision_ == model.item_precision_ == 2.5


class Placed:
    def __init__(self, labels, posterior):
        self.users, self.posterior = pa.array(labels, pa.large_string()), np.array(posterior, dtype=float)

    def membership(self):
        return Membership(self.users, self.posterior, np.ones(len(self.users), dtype=np.int64))


def test_groups_are_matched_by_their_people():
    mine = Placed(list("abcdef"), [[0.9, 0.1, 0]] * 3 + [[0, 1, 0]] * 2 + [[0, 0, 1]])
    other = Placed(list("fedcba"), [[0, 1, 0]] + [[0, 0, 1]] * 2 + [[1, 0, 0]] * 3)
    assert aligned_groups(mine, other).tolist() == [0, 2, 1]
    more = Placed(list("abf"), [[0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    assert sorted(aligned_groups(mine, more).tolist())[0] == -1
    assert aligned_groups(mine, more)[[1, 3]].tolist() == [0, 2]


def test_held_out_rows_are_scored_as_evaluate_scores_them(model, data):
    held = hold_out_rows(model, data, names=NAMES, n_bootstrap=100, seed=4)
    train, test = data.split(test=0.2, by="pair", rng=4)
    own, pooled = refit(model, train, 4), refit(model.control_, train, 4)
    assert held.refitted and held.converged and held.n_used == len(data)
    assert held.model.n == len(test)
    assert held.model.accuracy == evaluate(own, test, n_bootstrap=0).accuracy
    assert held.pooled.nll == evaluate(pooled, test, n_bootstrap=0).nll
    assert held.difference["nll"][0] == pytest.approx(held.model.nll - held.pooled.nll)
    assert [score.name for score in held.model.groups] == NAMES == [score.name for score in held.pooled.groups]
    for own_score, pooled_score in zip(held.model.groups, held.pooled.groups, strict=True):
        value, low, high = held.group_difference[own_score.name]["accuracy"]
        assert value == pytest.approx(own_score.accuracy - pooled_score.accuracy) and low <= value <= high
    assert {score.name for score in held.known_model.groups} == set(data.groups.to_pylist())
    assert held.known_pooled.accuracy == held.pooled.accuracy


def test_groups_of_the_report_are_those_of_the_model_not_of_the_refit(model, data):
    held = hold_out_rows(model, data, names=NAMES, n_bootstrap=0, seed=1)
    share = {score.name: score.users for score in held.model.groups}
    own = dict(zip(NAMES, np.bincount(model.membership().labels, minlength=2), strict=True))
    assert all(abs(share[name] - own[name]) <= 2 for name in NAMES)


def test_a_judged_pair_is_on_one_side_only(data):
    train, test, rule = _split(data, 0)
    both = train.concat(test)
    pair = user_pairs(both.user, both.left, both.right, both.n_items)
    assert not set(pair[: len(train)]) & set(pair[len(train) :])
    assert len(train) + len(test) == len(data) and rule == "a fifth of every person's judgements"


def test_a_vote_is_on_one_side_only():
    from pluralism.data import Ratings

    rng = np.random.default_rng(0)
    items = Items(ids=[f"i{k}" for k in range(12)])
    user, item = (a.ravel() for a in np.meshgrid(np.arange(20), np.arange(12), indexing="ij"))
    labels = [f"u{k}" for k in range(20)]
    ratings = Ratings(items=items, users=labels, user=user, item=item, value=rng.integers(1, 6, len(user)))
    train, test, rule = _split(ratings.to_comparisons(), 0)
    votes = [set(zip(d.user, d.left, strict=True)) | set(zip(d.user, d.right, strict=True)) for d in (train, test)]
    held = [(u, a) for u, a in votes[1] if (u, a) not in votes[0]]
    assert all((u, a) in held or (u, b) in held for u, a, b in zip(test.user, test.left, test.right, strict=True))
    assert "votes" in rule


def test_given_test_data_are_scored_with_the_model_as_it_is(data):
    train, test = data.split(test=0.25, by="user", rng=0)
    support, scored = test.split(test=0.5, by="pair", rng=0)
    model = BradleyTerry(ridge=1.0).fit(train)
    pooled = BradleyTerry(ridge=50.0).fit(train)
    held = hold_out_rows(model, train, names=["Everyone"], test=scored, support=support, pooled=pooled, n_bootstrap=50)
    assert not held.refitted and held.model.n == len(scored)
    assert held.model.accuracy == evaluate(model, scored, n_bootstrap=0).accuracy
    assert held.pooled.nll == evaluate(pooled, scored, n_bootstrap=0).nll
    assert held.model.n_users_supported == len(np.unique(scored.user))


def test_training_rows_are_refused_as_test_rows(model, data):
    with pytest.raises(DataError, match="also in the training data"):
        hold_out_rows(model, data, names=NAMES, test=data.take(np.arange(20)))


def test_held_out_people_are_new_and_the_control_has_its_own_ridge(model, data):
    curve = hold_out_users(model, data, n_bootstrap=20, seed=0)
    _, new = data.split(test=0.2, by="user", rng=0)
    assert curve.users + curve.users_left_out == len(np.unique(new.user))
    assert curve.shots == (0, 1, 2, 5, 10)
    train, _ = data.split(test=0.2, by="user", rng=0)
    control = refit(model.control_, train, 0)
    assert control.ridge_ == model.control_.ridge_
    assert 0 < curve.control_nll < 1


def test_a_sample_holds_whole_people():
    from pluralism.data import simulate_mixture

    data = simulate_mixture(n_users=40, n_groups=1, n_items=30, dim=2, pairs_per_user=10, rng=0).comparisons
    assert some_users(data, None, 0) is data and some_users(data, 400, 0) is data
    part = some_users(data, 105, 0)
    assert set(np.bincount(part.user)[np.unique(part.user)]) == {10} and len(part) == 100
    assert some_users(data, 105, 0).user.tolist() == part.user.tolist() != some_users(data, 105, 1).user.tolist()
    assert len(np.unique(some_users(data, 1, 0).user)) == 2
