import warnings

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.special import expit

import pluralism as pl
from pluralism.data import Comparisons, Items, Ratings
from pluralism.errors import UsageError
from pluralism.models import BradleyTerry, HierarchicalBradleyTerry, load
from pluralism.testing import check_preference_model, checks

FIXED = {"ridge": 1.0, "blocks": "row", "loading_precision": 1.0}


def planted_slopes(seed, users=150, rows=40, dim=12, rank=2, size=2.0):
    """People whose heads differ from the population's along two directions."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(120, dim)) / np.sqrt(dim)
    heads = 2.0 * rng.normal(size=dim) + size * rng.normal(size=(users, rank)) @ rng.normal(size=(rank, dim))
    user = np.repeat(np.arange(users), rows)
    left, right = rng.integers(0, 120, (2, users * rows))
    right = np.where(left == right, (right + 1) % 120, right)
    z = np.einsum("ij,ij->i", features[left] - features[right], heads[user])
    outcome = (rng.random(len(z)) < expit(z)).astype(float)
    items = Items(ids=[f"i{k}" for k in range(120)]).with_features(features, "planted")
    names = [f"u{k}" for k in range(users)]
    return Comparisons(items=items, users=names, user=user, left=left, right=right, outcome=outcome), heads, features


def planted_votes(seed, users=200, items=60, rows=30, dimensions=2):
    rng = np.random.default_rng(seed)
    people, places = 1.5 * rng.normal(size=(users, dimensions)), rng.normal(size=(items, dimensions))
    strictness, quality = rng.normal(size=users), rng.normal(size=items)
    user = np.repeat(np.arange(users), rows)
    item = np.concatenate([rng.permutation(items)[:rows] for _ in range(users)])
    z = np.einsum("ij,ij->i", people[user], places[item]) + quality[item] - strictness[user]
    value = (rng.random(len(z)) < expit(z)).astype(float)
    return Ratings.from_frame({"user": user, "item": item, "value": value}, scale=(0, 1)), strictness


@pytest.mark.parametrize("seed", range(5))
def test_planted_slopes_are_recovered(seed):
    data, heads, features = planted_slopes(seed)
    train, test = data.split(test=0.3, by="row", rng=seed)
    model = HierarchicalBradleyTerry(rank=2, item_effects=False, **FIXED).fit(train)
    pooled, ours = pl.evaluate(model.control_, test), pl.evaluate(model, test)
    truth = np.einsum("ij,ij->i", features[test.left] - features[test.right], heads[test.user])
    best = -np.mean(np.where(test.outcome > 0.5, -np.logaddexp(0, -truth), -np.logaddexp(0, truth)))
    assert best < ours.nll < best + 0.06
    assert ours.nll < pooled.nll - 0.05
    rewards = model.user_reward(data.items, model.membership())
    found = [np.corrcoef(rewards[:, u], features @ heads[u])[0, 1] for u in range(len(heads))]
    assert np.median(found) > 0.85


def test_the_rank_is_chosen_where_people_differ_and_not_where_they_agree():
    differ, agree = planted_slopes(1, users=80)[0], planted_slopes(1, users=80, size=0.0)[0]
    settings = {"item_effects": False, "ridge": 1.0, "max_rank": 4}
    model = HierarchicalBradleyTerry(**settings).fit(differ)
    assert model.rank_ in (2, 4)
    assert [row["rank"] for row in model.rank_selection_ if row["chosen"]] == [model.rank_]
    assert HierarchicalBradleyTerry(**settings).fit(agree).rank_ == 0


def test_without_anything_that_differs_it_is_bradley_terry():
    data = planted_slopes(2, users=20)[0]
    plain = BradleyTerry(ridge=1.0, item_effects=2.0, covariates=()).fit(data)
    model = HierarchicalBradleyTerry(rank=0, item_effects=2.0, **FIXED).fit(data)
    np.testing.assert_allclose(model.predict_proba(data), plain.predict_proba(data), atol=2e-4)


@pytest.mark.parametrize("seed", range(5))
def test_thresholds_of_voters_are_told_from_taste(seed):
    ratings, strictness = planted_votes(seed)
    votes = ratings.to_votes()
    model = HierarchicalBradleyTerry(rank=2, covariates=("threshold",), **FIXED).fit(votes)
    assert model.factor_names_[0] == "threshold"
    loading = model.factor_covariates_[0, 0]
    order = [int(u) for u in model.users_.to_pylist()]
    found = np.corrcoef(model.position_[:, 0] * loading, strictness[order])[0, 1]
    assert found > 0.6
    rows = votes.take(np.arange(len(votes)) % 5 > 0), votes.take(np.arange(len(votes)) % 5 == 0)
    strict = HierarchicalBradleyTerry(rank=0, covariates=("threshold",), **FIXED).fit(rows[0])
    taste = HierarchicalBradleyTerry(rank=2, covariates=("threshold",), **FIXED).fit(rows[0])
    scores = [pl.evaluate(m, rows[1], n_bootstrap=0).nll for m in (strict.control_, strict, taste)]
    assert scores[0] > scores[1] + 0.02 > scores[2] + 0.04


def test_groups_and_slopes_together():
    data, _, _ = planted_slopes(3, users=60)
    model = HierarchicalBradleyTerry(n_groups=2, rank=1, item_effects=False, **FIXED).fit(data)
    membership = model.membership()
    assert membership.posterior.shape == (60, 2)
    assert membership.position.shape == (60, 2)
    np.testing.assert_allclose(model.adapt(data).posterior, membership.posterior, atol=1e-6)
    np.testing.assert_allclose(model.adapt(data).position, membership.position, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_a_few_answers_never_hurt_and_more_help(seed):
    data = planted_slopes(seed)[0]
    model = HierarchicalBradleyTerry(rank=2, item_effects=False, **FIXED).fit(data.take(data.user < 100))
    new = data.take(data.user >= 100).compact()
    place = np.arange(len(new)) % 40
    scored = new.take(place >= 20)
    losses = []
    for n in (0, 2, 5, 20):
        placed = model.adapt(new.take(place < n))
        p = model.predict_proba(scored, membership=placed)
        losses.append(-np.mean(np.log(np.where(scored.outcome > 0.5, p, 1 - p))))
    assert np.all(np.diff(losses) < 0.005)
    assert losses[-1] < losses[0] - 0.03


@pytest.mark.parametrize("seed", range(3))
def test_people_call_ties_more_or_less_readily(seed):
    data, _, _ = planted_slopes(seed, users=80)
    rng = np.random.default_rng(seed)
    ready = rng.normal(-1.0, 1.5, 80)
    p = np.full(len(data), 0.5)
    tied = rng.random(len(data)) < expit(ready[data.user] + 0.5 * np.log(p * (1 - p)))
    data = Comparisons(**{**vars(data), "outcome": np.where(tied, 0.5, data.outcome)})
    train, test = data.split(test=0.3, by="row", rng=0)
    model = HierarchicalBradleyTerry(rank=1, item_effects=False, ties="davidson", **FIXED).fit(train)
    personal = model.predict_tie_proba(test)
    common = model.predict_tie_proba(test, membership=model.adapt(test.take(np.zeros(0, np.int64))))

    def nll(p):
        return -np.mean(np.log(np.where(test.outcome == 0.5, p, 1 - p)))

    assert nll(personal) < nll(common) - 0.05
    placed = model.adapt(train)
    np.testing.assert_allclose(model.predict_tie_proba(test, membership=placed), personal, atol=1e-4)
    half = HierarchicalBradleyTerry(rank=1, item_effects=False, **FIXED).fit(train)
    with pytest.raises(UsageError, match="probability of a tie"):
        half.predict_tie_proba(test)


BATTERY = {
    "slopes": (HierarchicalBradleyTerry(rank=2, item_effects=False, item_loadings=False, **FIXED), 3),
    "groups": (HierarchicalBradleyTerry(n_groups=2, rank=1, item_effects=1.0, item_loadings=True, **FIXED), 2),
    "ties": (HierarchicalBradleyTerry(rank=1, item_effects=1.0, item_loadings=True, ties="davidson", **FIXED), 3),
}


@pytest.mark.parametrize("name", BATTERY)
def test_battery(name):
    model, skipped = BATTERY[name]
    results = check_preference_model(model, raise_on_failure=True)
    assert len(results) == len(checks())
    assert sum(result.status == "skipped" for result in results) == skipped, [
        r for r in results if r.status != "passed"
    ]


def test_a_checkpoint_and_a_saved_model_give_the_same(tmp_path):
    data = planted_slopes(4, users=30)[0]
    model = HierarchicalBradleyTerry(max_rank=2, item_effects=True, ties="davidson", covariates=(), rng=1)
    once = model.fit(data, checkpoint=tmp_path / "checkpoint").predict_proba(data)
    again = model.fit(data, checkpoint=tmp_path / "checkpoint")
    np.testing.assert_array_equal(again.predict_proba(data), once)
    again.save(tmp_path / "run")
    loaded = load(tmp_path / "run")
    np.testing.assert_array_equal(loaded.predict_proba(data), once)
    np.testing.assert_array_equal(loaded.predict_tie_proba(data), again.predict_tie_proba(data))
    np.testing.assert_array_equal(loaded.control_.predict_proba(data), again.control_.predict_proba(data))


def test_the_table_of_a_membership_has_the_factors():
    data = planted_slopes(5, users=12)[0]
    model = HierarchicalBradleyTerry(rank=1, item_effects=False, **FIXED).fit(data)
    assert model.membership().to_frame().column_names == ["user", "n", "group_0", "factor_0", "factor_0_sd"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rank": -1}, "rank=-1"),
        ({"rank": "many"}, "rank='many'"),
        ({"n_groups": "auto"}, "n_groups='auto'"),
        ({"loading_precision": 0.0}, "loading_precision"),
        ({"item_loadings": "some"}, "item_loadings"),
        ({"user_covariates": ("length",)}, "no covariate of the model"),
        ({"item_loadings": True, "item_effects": False}, "loadings of their own"),
        ({"covariates": ("threshold",)}, "no votes"),
    ],
)
def test_wrong_settings_say_what_is_possible(settings, message):
    data = planted_slopes(0, users=5)[0]
    with pytest.raises(UsageError, match=message):
        HierarchicalBradleyTerry(**{"ridge": 1.0, **settings}).fit(data)


def test_too_few_answers_to_choose_by_are_refused():
    data = planted_slopes(0, users=1, rows=3)[0]
    data = Comparisons(**{**vars(data), "outcome": [1.0, 0.5, 0.0]})
    with pytest.raises(UsageError, match="too few"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        HierarchicalBradleyTerry(ridge=1.0).fit(data)


@pytest.mark.slow
def test_polis_votes_are_predicted_as_well_as_by_a_plain_factor_model(shared_data):
    """Last fifth of each person's votes; a plain four-dimensional factor model has accuracy .830 and NLL .381."""
    votes = pq.read_table(shared_data / "polis" / "votes.parquet").to_pandas()
    votes["timestamp"] = votes["timestamp"].fillna(0)
    votes = votes.sort_values("timestamp", kind="stable")
    votes = votes.drop_duplicates(["conversation", "participant_id", "comment_id"], keep="last")
    votes = votes[votes["vote"] != 0]
    rows = []
    for _, mine in votes.groupby("conversation"):
        turn = mine.groupby("participant_id").cumcount()
        total = mine.groupby("participant_id")["vote"].transform("size")
        keep = total >= 5
        held = (turn >= np.ceil(0.8 * total))[keep].to_numpy()
        frame = mine[keep][["participant_id", "comment_id", "vote"]]
        frame = frame.rename(columns={"participant_id": "user", "comment_id": "item", "vote": "value"})
        data = Ratings.from_frame(frame, scale=(-1, 1)).to_votes()
        model = HierarchicalBradleyTerry(rank=4, loading_precision=3.0, ridge=0.3, covariates=("threshold",), tol=1e-6)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(data.take(~held))
        e = pl.evaluate(model, data.take(held), n_bootstrap=0)
        rows.append((e.accuracy, e.nll))
    accuracy, nll = np.mean(rows, axis=0)
    assert accuracy >= 0.830
    assert nll <= 0.381
