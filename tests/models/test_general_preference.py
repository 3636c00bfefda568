import warnings

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from scipy.special import expit

import pluralism as pl
from pluralism.data import Comparisons, Items
from pluralism.data.simulate import simulate_mixture
from pluralism.errors import DataWarning, ModelFileError, UsageError
from pluralism.models import BradleyTerry, GeneralPreference
from pluralism.testing import check_preference_model, checks

FIXED = {"ridge": 1.0, "skew_ridge": 1.0, "item_effects": False, "blocks": "row"}


def nll(probability, data):
    return -float(np.mean(np.where(data.outcome > 0.5, np.log(probability), np.log(1 - probability))))


def rock_paper_scissors(n=20):
    return Comparisons.from_arrays(
        ["rock", "paper", "scissors"] * n, ["scissors", "rock", "paper"] * n, user=["u"] * 3 * n
    )


def planted(seed, rank=1, dim=6, n_items=80, rows=6000, strength=2.0, linear=1.0):
    """Comparisons by a linear reward and a skew-symmetric form over features."""
    rng = np.random.default_rng([seed, 31])
    features = rng.normal(size=(n_items, dim))
    form = np.zeros((dim, dim))
    for _ in range(rank):
        u, v = rng.normal(size=(2, dim))
        form += np.outer(u, v) - np.outer(v, u)
    theta = rng.normal(size=dim)
    left = rng.integers(n_items, size=rows)
    right = (left + 1 + rng.integers(n_items - 1, size=rows)) % n_items
    turn = np.einsum("ij,jk,ik->i", features[left], form, features[right])
    line = (features[left] - features[right]) @ theta
    z = strength * turn / max(turn.std(), 1e-12) + linear * line / line.std()
    outcome = (rng.random(rows) < expit(z)).astype(float)
    items = Items(ids=[f"i{j}" for j in range(n_items)], features=features, feature_space="planted")
    user = [f"u{u}" for u in rng.integers(40, size=rows)]
    return Comparisons.from_arrays(left, right, user=user, outcome=outcome, items=items), form, z


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_battery(rank):
    results = check_preference_model(GeneralPreference(rank=rank, **FIXED), raise_on_failure=True)
    assert len(results) == len(checks())
    assert [result.name for result in results if result.status == "skipped"] == [
        "rewards_order_predictions",
        "two_clear_groups_are_told_apart",
    ]


def test_rock_paper_scissors():
    data = rock_paper_scissors()
    pooled = BradleyTerry(ridge=0.1).fit(data)
    np.testing.assert_allclose(pooled.predict_proba(data), 0.5, atol=1e-4)
    model = GeneralPreference(rank=1, ridge=0.1, skew_ridge=0.01).fit(data)
    assert np.all(model.predict_proba(data) > 0.95)
    np.testing.assert_allclose(model.reward(data.items), 0.0, atol=1e-4)
    assert model.intransitivity_ > 0.99
    chosen = GeneralPreference(rng=0).fit(data)
    assert chosen.rank_ == 1
    assert np.all(chosen.predict_proba(data) > 0.9)


def test_rank_zero_is_bradley_terry():
    sim = simulate_mixture(n_users=40, n_groups=1, n_items=60, dim=5, pairs_per_user=20, rng=0)
    data = sim.comparisons
    expected = BradleyTerry(rng=0).fit(data)
    found = GeneralPreference(rank=0, rng=0).fit(data)
    assert np.array_equal(found.coef_, expected.coef_)
    assert np.array_equal(found.predict_proba(data), expected.predict_proba(data))
    assert np.array_equal(found.reward_std(data.items), expected.reward_std(data.items))
    assert (found.rank_, found.intransitivity_) == (0, 0.0)


@pytest.mark.parametrize("seed", range(3))
def test_circles_are_not_found_where_there_are_none(seed):
    sim = simulate_mixture(n_users=40, n_groups=1, n_items=60, dim=5, pairs_per_user=25, scale=2.0, rng=seed)
    model = GeneralPreference(ridge=1.0, item_effects=False, blocks="row", rng=seed).fit(sim.comparisons)
    assert model.rank_ == 0
    ranks = [row[0] for row in model.rank_path_]
    assert ranks == sorted(ranks)
    assert {0.0, 1.0} <= set(ranks)


@pytest.mark.parametrize("seed", range(5))
def test_planted_circles_are_recovered(seed):
    data, form, truth = planted(seed)
    train, test = data.split(test=0.25, by="row", rng=0)
    model = GeneralPreference(rank=1, ridge=1.0, skew_ridge=1.0, item_effects=False).fit(train)
    u, v = model.planes_
    found = u @ v.T - v @ u.T
    assert np.corrcoef(found.ravel(), form.ravel())[0, 1] > 0.97
    pooled = BradleyTerry(ridge=1.0, item_effects=False).fit(train)
    assert nll(model.predict_proba(test), test) < nll(pooled.predict_proba(test), test) - 0.15
    assert np.corrcoef(model._logits(data)[:, 0], truth)[0, 1] > 0.98
    assert model.intransitivity_ == pytest.approx(0.8, abs=0.08)
    assert model.converged_
    assert np.all(np.diff(model.objective_path_) <= 1e-9)


def test_the_rank_is_chosen_on_blocks_that_were_not_seen():
    data, _, _ = planted(1, rank=2, rows=8000, strength=3.0)
    model = GeneralPreference(ridge=1.0, item_effects=False, blocks="item", max_rank=3).fit(data)
    assert model.rank_ == 2
    assert 0.0 < model.skew_ridge_ < np.inf


def test_sides_exchanged_turn_every_preference_round():
    data, _, _ = planted(2)
    model = GeneralPreference(rank=2, **FIXED).fit(data)
    matrix = model.preference_matrix(data.items)
    np.testing.assert_allclose(matrix + matrix.T, 1.0, atol=1e-12)
    np.testing.assert_allclose(np.diag(matrix), 0.5)
    np.testing.assert_allclose(matrix[data.left, data.right], model.predict_proba(data), atol=1e-12)


def test_the_reward_is_the_mean_logit_against_the_compared_items():
    data, _, _ = planted(3)
    model = GeneralPreference(rank=1, **FIXED).fit(data)
    matrix = model.preference_matrix(data.items)
    logits = np.log(matrix) - np.log1p(-matrix)
    played = np.bincount(data.left, minlength=80) + np.bincount(data.right, minlength=80)
    mean = logits @ (played / played.sum())
    reward = model.reward(data.items)[:, 0]
    np.testing.assert_allclose(reward - reward.mean(), mean - mean.mean(), atol=1e-8)


def test_covariates_and_position_keep_their_meaning():
    data, _, _ = planted(4)
    model = GeneralPreference(rank=1, position_bias=True, **FIXED).fit(data)
    plain = GeneralPreference(rank=1, **FIXED).fit(data)
    assert model.covariate_names_ == ["position"]
    assert abs(model.covariate_effects_[0, 0]) < 0.1
    np.testing.assert_allclose(model.predict_proba(data), plain.predict_proba(data), atol=0.03)


def test_items_alone_and_items_never_seen(tmp_path):
    rng = np.random.default_rng(9)
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    left = rng.integers(12, size=3000)
    right = (left + 1 + rng.integers(11, size=3000)) % 12
    z = 3.0 * np.sin(angle[left] - angle[right])
    outcome = (rng.random(3000) < expit(z)).astype(float)
    data = Comparisons.from_arrays(
        [f"i{c}" for c in left], [f"i{c}" for c in right], user=["u"] * 3000, outcome=outcome
    )
    model = GeneralPreference(rng=0).fit(data)
    assert model.rank_ == 1
    assert model.coef_ is None
    assert np.corrcoef(model._logits(data)[:, 0], z)[0, 1] > 0.98
    stranger = Items(ids=["never seen", *data.items.ids.to_pylist()[:2]])
    assert np.allclose(
        model.preference_matrix(stranger)[0, 1:], expit(model.reward(stranger)[0] - model.reward(stranger)[1:])[:, 0]
    )
    model.save(tmp_path / "run")
    assert np.array_equal(pl.load(tmp_path / "run").predict_proba(data), model.predict_proba(data))


def test_damaged_planes_are_refused(tmp_path):
    from pluralism.files import load_bundle, save_bundle

    data, _, _ = planted(5, rows=500)
    GeneralPreference(rank=1, **FIXED).fit(data).save(tmp_path / "run")
    document, arrays = load_bundle(tmp_path / "run")
    document = {k: v for k, v in document.items() if not k.startswith("arrays")}
    arrays["planes_"] = np.ascontiguousarray(arrays["planes_"][:, 1:])
    save_bundle(tmp_path / "run", document, arrays)
    with pytest.raises(ModelFileError, match="planes"):
        pl.load(tmp_path / "run")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": -1}, "rank"),
        ({"rank": "full"}, "rank"),
        ({"max_rank": 0}, "max_rank"),
        ({"skew_ridge": 0.0}, "skew_ridge"),
        ({"ridge": -1.0}, "ridge"),
    ],
)
def test_settings_that_cannot_work_are_named(options, message):
    with pytest.raises(UsageError, match=message):
        GeneralPreference(**options).fit(rock_paper_scissors())


@pytest.mark.slow
def test_real_judgements_of_arguments_have_no_circles(shared_data):
    """Which of two arguments convinces more: a reward says it all, as items alone, and no plane is chosen."""
    folder = shared_data / "ukp_convarg"
    table = pq.read_table(folder / "comparisons.parquet", columns=["pair_id", "user_id", "choice"])
    pairs = pq.read_table(folder / "pairs.parquet", columns=["pair_id", "topic", "arg_a", "arg_b"])
    table = table.join(pairs, "pair_id").sort_by([("user_id", "ascending"), ("pair_id", "ascending")])
    slash = pa.scalar("/", table["topic"].type)
    outcome = {"a1": 1.0, "a2": 0.0, "equal": 0.5}
    frame = pa.table(
        {
            "user": table["user_id"],
            "left": pc.binary_join_element_wise(table["topic"], table["arg_a"], slash),
            "right": pc.binary_join_element_wise(table["topic"], table["arg_b"], slash),
            "outcome": [outcome[c] for c in table["choice"].to_pylist()],
        }
    )
    train, test = Comparisons.from_frame(frame).split(test=0.2, by="row", rng=0)
    test = test.take(test.outcome != 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        general, pooled = GeneralPreference(max_rank=2, rng=0).fit(train), BradleyTerry(rng=0).fit(train)
        forced = GeneralPreference(rank=1, rng=0).fit(train)
    losses = [nll(model.predict_proba(test), test) for model in (general, pooled, forced)]
    assert general.rank_ == 0
    assert forced.intransitivity_ < 0.01
    assert losses[0] == losses[1] < 0.47
    assert losses[2] > losses[1] - 0.001
