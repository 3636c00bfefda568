import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pluralism as pl
from pluralism.data.simulate import simulate_mixture
from pluralism.errors import DataError, UsageError
from pluralism.models import (
    VPL,
    BayesianMixture,
    BradleyTerry,
    HierarchicalBradleyTerry,
    IdealPoint,
    LowRankReward,
    Membership,
    MixtureBradleyTerry,
    MultiSource,
    PerUserRidge,
    PlackettLuce,
    RewardEnsemble,
)


@pytest.fixture
def members():
    posterior = np.array([[0.95, 0.05], [0.5, 0.5], [0.0, 1.0]])
    return Membership(pa.array(["ann", "bob", "čert"], pa.large_string()), posterior, np.array([9, 0, 30]))


def test_labels_certainty_and_entropy(members):
    assert members.labels.tolist() == [0, 0, 1]
    assert members.certainty.tolist() == [0.95, 0.5, 1.0]
    np.testing.assert_allclose(members.entropy[1:], [np.log(2), 0.0])


def test_rows_by_user(members):
    np.testing.assert_array_equal(members.of(["čert", "ann"]), members.posterior[[2, 0]])
    assert members.index(pa.array(["nobody", "bob"])).tolist() == [-1, 1]
    with pytest.raises(UsageError, match="nobody"):
        members.of(["nobody"])


def test_frame_file_and_json_hold_the_same(members, tmp_path):
    members.write(tmp_path / "members.parquet")
    table = pq.read_table(tmp_path / "members.parquet")
    assert table.column_names == ["user", "n", "group_0", "group_1"]
    assert table.equals(members.to_frame())
    document = json.loads(members.to_json())
    assert document["users"] == ["ann", "bob", "čert"]
    assert document["posterior"] == members.posterior.tolist()
    assert document["model"] is None
    assert "2 groups" in repr(members)


def settings_of(kind):
    if kind is VPL:
        return {"factors": 2, "hidden": 4, "max_epochs": 40, "learning_rate": 3e-2, "patience": 40, "warm_up": 1}
    fixed = {"ridge": 1.0, "item_effects": False}
    own = {
        MixtureBradleyTerry: {"n_groups": 2},
        BayesianMixture: {"n_groups": 2},
        HierarchicalBradleyTerry: {"rank": 1, "loading_precision": 1.0},
        PlackettLuce: {"n_groups": 2, "ridge": 1.0},
        PerUserRidge: {"user_ridge": 1.0},
        LowRankReward: {"rank": 2, "ridge": 1.0, "concentration": 1.0},
        IdealPoint: {"n_prototypes": 2, "latent_dim": 2, "ridge": 1.0, "concentration": 1.0},
        RewardEnsemble: {"base": BradleyTerry(**fixed), "n_members": 2},
    }
    without = (PlackettLuce, LowRankReward, IdealPoint, RewardEnsemble)
    return ({} if kind in without else fixed) | own.get(kind, {})


KINDS = [
    BradleyTerry,
    MixtureBradleyTerry,
    BayesianMixture,
    HierarchicalBradleyTerry,
    PlackettLuce,
    PerUserRidge,
    LowRankReward,
    IdealPoint,
    MultiSource,
    RewardEnsemble,
    VPL,
]


@pytest.mark.filterwarnings("ignore::pluralism.errors.ConvergenceWarning")
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_memberships_of_another_fit_are_refused_and_those_of_a_loaded_one_are_not(kind, tmp_path):
    data = simulate_mixture(n_users=24, n_groups=2, n_items=30, dim=4, pairs_per_user=12, scale=3.0, rng=0).comparisons
    model = kind(**settings_of(kind)).fit(data)
    again = kind(**settings_of(kind)).fit(data)
    other = kind(**settings_of(kind)).fit(data.take(np.arange(len(data)) % 12 > 0))
    placed, trained = model.adapt(data), model.membership()
    assert placed.model == trained.model == model.fingerprint_ == again.fingerprint_ != other.fingerprint_
    expected = model.predict_proba(data, membership=placed)
    model.save(tmp_path / "run")
    placed.write(tmp_path / "placed.parquet")
    loaded, read = pl.load(tmp_path / "run"), Membership.read(tmp_path / "placed.parquet")
    assert loaded.membership(data).model == model.fingerprint_
    for reader in (model, again, loaded):
        np.testing.assert_array_equal(reader.predict_proba(data, membership=read), expected)
    np.testing.assert_array_equal(loaded.user_reward(data.items, read), model.user_reward(data.items, placed))
    for ask in (
        lambda: other.predict_proba(data, membership=read),
        lambda: other.user_reward(data.items, trained),
        lambda: other.predict_proba(data, membership=model._prior()),
    ):
        with pytest.raises(UsageError, match="another model") as refused:
            ask()
        assert "adapt" in refused.value.fix
    # places made by hand belong to no model
    by_hand = replace(placed, model=None)
    assert np.isfinite(other.predict_proba(data, membership=by_hand)).all()


def test_files_keep_positions_covariances_and_the_model(members, tmp_path):
    rng = np.random.default_rng(0)
    root = rng.normal(size=(3, 2, 2))
    wide = replace(members, position=rng.normal(size=(3, 2)), covariance=root @ root.transpose(0, 2, 1), model="abc")
    weights = replace(members, covariance=wide.covariance)
    alike = replace(members, position=np.zeros((3, 0)), covariance=np.zeros((3, 0, 0)))
    nobody = Membership(members.users[:0], np.zeros((0, 2)), np.zeros(0, dtype=np.int64))
    for given in (wide, weights, alike, members, nobody):
        given.write(tmp_path / "m.parquet")
        found = Membership.read(tmp_path / "m.parquet")
        assert found.users.equals(given.users)
        assert found.model == given.model
        for name in ("posterior", "n", "position", "covariance"):
            value = getattr(given, name)
            assert (getattr(found, name) is None) == (value is None)
            if value is not None:
                np.testing.assert_array_equal(getattr(found, name), value)


def test_other_files_are_refused(tmp_path):
    pq.write_table(pa.table({"user": ["ann"], "score": [1.0]}), tmp_path / "other.parquet")
    (tmp_path / "text.parquet").write_text("user,n")
    for name in ("other.parquet", "text.parquet", "missing.parquet"):
        with pytest.raises(DataError, match="no membership"):
            Membership.read(tmp_path / name)
