"""Raters in halves: nobody on both sides, groups matched, and judges that were followed refused."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pluralism.data.simulate import simulate_mixture
from pluralism.errors import DataError, ModelFileError, UsageError
from pluralism.models import BradleyTerry, IdealPoint, MixtureBradleyTerry
from pluralism.policy.lm.held_out_judges import (
    RECORD,
    HeldOutPair,
    groups_by_reward,
    held_out_pair,
    refuse_optimised,
    split_raters,
)


@pytest.fixture(scope="module")
def data():
    return simulate_mixture(
        n_users=80, n_groups=2, n_items=60, n_prompts=15, dim=4, group_weights=[0.7, 0.3], pairs_per_user=20, rng=0
    ).comparisons


@pytest.fixture(scope="module")
def model(data):
    return MixtureBradleyTerry(n_groups=2, ridge=1.0, item_effects=False, n_init=2, rng=0).fit(data)


@pytest.fixture(scope="module")
def pair(model, data):
    return held_out_pair(model, data, rng=0)


def test_halves_share_nobody_and_each_group_is_on_both_sides(model, data, pair):
    judges = split_raters(model, data, rng=0)
    labels = model.membership(data).labels
    for group in range(2):
        own = judges[np.unique(data.user)][labels == group]
        assert abs(own.sum() - len(own) / 2) <= 0.5
    followed, asked = set(pair.optimised.users_.to_pylist()), set(pair.judge.users_.to_pylist())
    assert not followed & asked
    assert len(followed) + len(asked) == 80
    assert (pair.optimised_users, pair.judge_users) == (len(followed), len(asked))
    np.testing.assert_array_equal(judges, split_raters(model, data, rng=0))
    assert (judges != split_raters(model, data, rng=1)).any()


def test_groups_of_both_halves_are_those_of_the_model(model, data, pair):
    rewards = model.reward(data.items)
    for fit, order in ((pair.optimised, pair.optimised_groups), (pair.judge, pair.judge_groups)):
        own = fit.reward(data.items)[:, order]
        cross = np.corrcoef(rewards.T, own.T)[:2, 2:]
        assert (np.argmax(cross, axis=1) == [0, 1]).all()
    assert (pair.agreement > 0.7).all()


def test_other_features_for_the_judge(model, data):
    other = data.with_items(data.items.without_features().with_features(data.items.features[:, :3], "narrow"))
    found = held_out_pair(model, data, judge_data=other, rng=0)
    assert found.judge.dim_ == 3
    assert found.optimised.dim_ == 4
    with pytest.raises(DataError, match="not the same judgements"):
        held_out_pair(model, data, judge_data=data.take(np.arange(len(data) - 1)), rng=0)


def test_what_was_saved_is_loaded(pair, tmp_path):
    assert HeldOutPair.load(tmp_path) is None
    pair.save(tmp_path)
    again = HeldOutPair.load(tmp_path)
    assert again.optimised.fingerprint_ == pair.optimised.fingerprint_
    np.testing.assert_array_equal(again.judge_groups, pair.judge_groups)
    np.testing.assert_allclose(again.agreement, pair.agreement)
    # a kill between the models and the record leaves nothing that counts
    pair.judge.save(tmp_path / "optimised")
    assert HeldOutPair.load(tmp_path) is None
    (tmp_path / RECORD).write_text("{")
    with pytest.raises(ModelFileError, match="cannot be read"):
        HeldOutPair.load(tmp_path)


def test_judges_that_were_followed_are_refused(model, pair):
    refuse_optimised(pair.judge, [pair.optimised])
    refuse_optimised(object(), [pair.optimised])
    with pytest.raises(DataError, match="is the model that was optimised"):
        refuse_optimised(pair.judge, [pair.optimised, pair.judge])
    with pytest.raises(DataError, match="of the people") as caught:
        refuse_optimised(model, [pair.optimised])
    assert f"{pair.optimised_users} of the people" in str(caught.value)


def test_data_of_other_people_are_refused(model, data):
    few = data.take(data.user < 20).compact()
    assert held_out_pair(model, few, rng=0).optimised_users + 10 >= 20
    renamed = pa.array([f"somebody {name}" for name in few.users.to_pylist()], pa.large_string())
    others = few._replace(users=renamed)
    with pytest.raises(DataError, match="does not know 20 of those who answer"):
        held_out_pair(model, others, rng=0)


def test_groups_are_matched_by_their_rewards(model, data, pair):
    order = groups_by_reward(model, data.items, pair.judge, data.items)
    np.testing.assert_array_equal(order, pair.judge_groups)
    one = BradleyTerry(ridge=1.0, item_effects=False).fit(data)
    with pytest.raises(UsageError, match="knows 1 groups"):
        groups_by_reward(model, data.items, one, data.items)


def test_what_cannot_be_split_is_refused(data):
    few = data.take(data.user < 3)
    model = MixtureBradleyTerry(n_groups=2, ridge=1.0, item_effects=False, n_init=1, rng=0).fit(few.compact())
    with pytest.raises(UsageError, match="cannot be both followed and"):
        held_out_pair(model, few.compact(), rng=0)
    with pytest.raises(UsageError, match="no groups"):
        held_out_pair(IdealPoint(), data, rng=0)
