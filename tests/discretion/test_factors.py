"""Why: factors by hand, their influence against scipy, weights of properties against draws and planted truth."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import kendalltau
from sklearn.linear_model import LogisticRegression

from pluralism.data import Comparisons, Items
from pluralism.discretion import Verdicts, explain_verdicts, factor_differences, factor_names, factor_values
from pluralism.discretion.factors.influence import factor_influence
from pluralism.discretion.factors.property_weights import property_weights
from pluralism.errors import DataError, UsageError


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("length", "It's well-known: 3 words — no, five.", 6),
        ("length", "", 0),
        ("hedging", "Perhaps so. I think it might be.", 3 / 7),
        ("formatting", "# Title\n- one\n- two\n1. three\n**bold** and `code`\n[a](b)", 7),
        ("formatting", "Plain - text * with # marks 1. inside", 0),
        ("repetition", "a b c a b c a", 1 - 3 / 5),
        ("repetition", "a b", 0),
        # 6 words, 1 sentence, 6 syllables
        ("readability", "The cat sat on the mat.", 206.835 - 1.015 * 6 - 84.6),
        ("readability", "...", 0),
    ],
)
def test_factors_by_hand(name, text, value):
    assert factor_values([text], name)[0] == pytest.approx(value)


def test_harder_texts_are_harder_and_kinder_ones_kinder():
    easy, hard = factor_values(
        ["We went to the sea. It was fun.", "Institutional heterogeneity necessitates comprehensive deliberation."],
        "readability",
    )
    assert easy > 80 > 0 > hard
    pytest.importorskip("textblob")
    good, bad = factor_values(["What a wonderful, kind answer!", "A horrible and stupid answer."], "sentiment")
    assert good > 0 > bad
    assert "sentiment" in factor_names()
    with pytest.raises(UsageError, match="no built-in factor 'wit'"):
        factor_values(["x"], "wit")


@pytest.fixture
def data():
    items = Items(
        ["a", "b", "c"], texts=["One two.", "One two three four.", "Perhaps."], covariates={"votes": [3, 1, 2]}
    )
    return Comparisons.from_arrays(
        left=["a", "b", "c"], right=["b", "c", "a"], outcome=[0, 1, 0.5], items=items,
        covariates={"shown": ([1, 0, 1], [0, 1, 0])},
    )  # fmt: skip


def test_columns_of_the_data_come_before_built_in_factors(data):
    found = factor_differences(data, ["shown", "votes", "length"])
    np.testing.assert_array_equal(found, [[1, 2, -2], [-1, -1, 3], [1, -1, -1]])
    assert factor_differences(data).shape == (3, 2 + 5)
    with pytest.raises(UsageError, match="no factor 'wit'"):
        factor_differences(data, ["wit"])
    bare = Comparisons.from_arrays(left=[0], right=[1])
    with pytest.raises(DataError, match="counted in texts"):
        factor_differences(bare, ["length"])
    with pytest.raises(DataError, match="no factor to look at"):
        factor_differences(bare)


def test_influence_by_hand_and_its_ties(data):
    human = Verdicts("human", data.outcome)
    by = {ties: factor_influence(data, [human], factors=["length", "shown"], ties=ties, n_bootstrap=50)
          for ties in ("factor", "none", "b")}  # fmt: skip
    # length: concordant twice, the third undecided though it differs; shown: discordant twice
    np.testing.assert_allclose(by["factor"].value, [[1, -1]])
    np.testing.assert_allclose(by["b"].value, [[2 / np.sqrt(2 * 3), -2 / np.sqrt(2 * 3)]])
    same = Comparisons.from_arrays(left=["a", "a"], right=["b", "c"], outcome=[1, 1],
                                   items=Items(["a", "b", "c"], covariates={"x": [1, 1, 0]}))  # fmt: skip
    tied = Verdicts("human", same.outcome)
    values = [
        factor_influence(same, [tied], factors=["x"], ties=t, n_bootstrap=0).value[0, 0] for t in ("factor", "none")
    ]
    assert values == [1 / 2, 1]
    with pytest.raises(UsageError, match="ties='all'"):
        factor_influence(data, [human], ties="all")
    with pytest.raises(DataError, match="different names"):
        factor_influence(data, [human, human])


def test_the_influence_of_few_verdicts_is_not_sure():
    rng = np.random.default_rng(0)
    held, wide = [], []
    for _ in range(150):
        x = rng.choice([-1.0, 0.0, 1.0], (30, 1))
        data = Comparisons.from_arrays(
            left=np.arange(30), right=np.arange(30) + 30, covariates={"x": (x[:, 0], np.zeros(30))}
        )
        # with more of x two times in three: (2/3 - 1/3) of the two thirds that differ
        verdict = np.where(x[:, 0] == 0, rng.random(30) < 0.5, (rng.random(30) < 2 / 3) == (x[:, 0] > 0))
        found = factor_influence(data, [Verdicts("a", verdict)], factors=["x"], n_bootstrap=100)
        low, high = found.interval[0, 0]
        held.append(low <= 2 / 9 <= high)
        wide.append(high - low)
    assert 0.89 <= np.mean(held) <= 0.99
    assert np.mean(wide) < 0.75
    two = data.take(np.flatnonzero(x[:, 0] != 0)[:2])
    sure = factor_influence(two, [Verdicts("a", (two.covariate_difference(["x"])[:, 0] > 0) * 1.0)], factors=["x"])
    assert sure.value[0, 0] == 1.0
    assert sure.interval[0, 0, 0] < 0 < 1.0 == sure.interval[0, 0, 1]


def test_influence_of_signs_is_kendalls_tau_b():
    rng = np.random.default_rng(0)
    n = 200
    x, y = rng.integers(-1, 2, n), rng.integers(-1, 2, n)
    data = Comparisons.from_arrays(
        left=np.arange(n), right=np.arange(n) + n, covariates={"x": (x.astype(float), np.zeros(n))}
    )
    found = factor_influence(data, [Verdicts("a", (1 + y) / 2)], factors=["x"], ties="b", n_bootstrap=0)
    # of the signs and their reverse, as the order of left and right says nothing
    tau = kendalltau(np.r_[x, -x], np.r_[y, -y]).statistic
    both = found.value[0, 0]
    concordant = (x * y).sum()
    assert both == pytest.approx(concordant / np.sqrt((np.abs(y) > 0).sum() * (np.abs(x) > 0).sum()))
    assert np.sign(both) == np.sign(tau)


def test_annotators_with_the_same_reasons_agree():
    rng = np.random.default_rng(1)
    n = 1500
    x = rng.choice([-1.0, 1.0], (n, 4))
    names = ["w", "x", "y", "z"]
    data = Comparisons.from_arrays(
        left=np.arange(n), right=np.arange(n) + n,
        covariates={name: (x[:, k], np.zeros(n)) for k, name in enumerate(names)},
    )  # fmt: skip
    weights = np.array([1.2, 0.5, -0.2, -0.8])
    people, model, rebel = (
        Verdicts(name, rng.random(n) < expit(sign * x @ weights)) for name, sign in
        (("people", 1), ("model", 1), ("rebel", -1))
    )  # fmt: skip
    found = factor_influence(data, [people, model, rebel], factors=names, n_bootstrap=200)
    alike, apart = found.agreement("people", "model"), found.agreement("people", "rebel")
    assert alike.pearson > 0.95
    assert alike.kendall == 1.0
    assert alike.pearson_interval[0] > 0.9
    assert apart.pearson < -0.95
    assert json.loads(alike.to_json())["rows"][0]["statistic"] == "pearson"
    assert found.to_frame().num_rows == 12
    # two points are always on a line
    two = factor_influence(data, [people, model], factors=names[:2], n_bootstrap=20).agreement("people", "model")
    assert np.isnan([two.pearson, two.kendall, *two.pearson_interval]).all()
    with pytest.raises(UsageError, match="no annotator 'nobody'"):
        found.agreement("people", "nobody")


def test_reasons_are_influence_and_weights_of_the_same_differences():
    rng = np.random.default_rng(2)
    n = 1200
    x = rng.normal(size=(n, 3)) * [1.0, 50.0, 1.0]
    x[:, 2] = 0.0
    names = ["w", "x", "never"]
    data = Comparisons.from_arrays(
        left=np.arange(n), right=np.arange(n) + n, source=["s" if k % 2 else "t" for k in range(n)],
        covariates={name: (x[:, k], np.zeros(n)) for k, name in enumerate(names)},
    )  # fmt: skip
    ann = Verdicts("ann", (rng.random(n) < expit(x[:, 0] + 0.02 * x[:, 1])) * 1.0)
    bob = np.where(np.arange(n) < 900, (rng.random(n) < expit(x[:, 0] - 0.02 * x[:, 1])) * 1.0, np.nan)
    people = [ann, Verdicts("bob", bob)]
    found = explain_verdicts(data, people, factors=names, n_bootstrap=50)
    influence = factor_influence(data, people, factors=names, n_bootstrap=50)
    np.testing.assert_array_equal(found.influence.value, influence.value)
    np.testing.assert_allclose(found.scale, np.sqrt((x[:, :2] ** 2).mean(axis=0)))
    assert found.weights.properties == ("w", "x")
    # one unit is a typical difference, so both factors weigh about as much
    mean, sd = found.weights_of("ann")
    np.testing.assert_allclose(mean[:2], [1, 1], atol=0.3)
    assert np.isnan(mean[2])
    assert (sd[:2] < 0.2).all()
    assert found.weights_of("bob")[0][1] < -0.6
    # alone, an annotator's weights are those of a regression of its own
    alone = explain_verdicts(data, people[1:], factors=names, n_bootstrap=0)
    own = property_weights(x[:900, :2] / found.scale, bob[:900], ["w", "x"])
    np.testing.assert_allclose(alone.weights_of("bob")[0][:2], own.mean)
    assert alone.agreement == ()
    (agreed,) = found.agreement
    assert agreed.annotators == ("ann", "bob")
    rows = found.to_frame().to_pylist()
    assert len(rows) == 6
    assert rows[1]["weight_low"] < rows[1]["weight"] < rows[1]["weight_high"]
    assert rows[2]["weight"] is None
    assert json.loads(found.to_json())["ties"] == "factor"
    by_source = explain_verdicts(data, people, factors=["w"], scenario=["s"] * n, n_bootstrap=0)
    assert by_source.weights.by_level["scenario"][0] == ("s",)
    assert "ann: influence" in repr(found)


def test_reasons_need_a_difference_and_a_verdict(data):
    human = Verdicts("human", data.outcome)
    flat = Comparisons.from_arrays(left=["a"], right=["b"], items=Items(["a", "b"], covariates={"x": [1, 1]}))
    with pytest.raises(DataError, match="No factor differs"):
        explain_verdicts(flat, [Verdicts("human", [1])])
    with pytest.raises(DataError, match="Nobody has a verdict"):
        explain_verdicts(data, [Verdicts("quiet", [np.nan] * 3)])
    with pytest.raises(UsageError, match="no factor 'wit'"):
        explain_verdicts(data, [human], factors=["wit"])
    # a factor that is named twice counts once
    assert explain_verdicts(data, [human], factors=["votes", "votes"], n_bootstrap=0).influence.factors == ("votes",)


def planted(seed, n=3000, judges=6, spread=0.4, position=0.6, ties=False):
    rng = np.random.default_rng(seed)
    x = rng.integers(-1, 2, (n, 3)).astype(float)
    common = np.array([1.0, 0.0, -0.5])
    own = common + spread * rng.normal(size=(judges, 3))
    judge = rng.integers(0, judges, n)
    first = rng.random(n) < 0.5
    z = (own[judge] * x).sum(axis=1) + position * np.where(first, 1, -1)
    y = (rng.random(n) < expit(z)).astype(float)
    if ties:
        share = 1 / (1 + 2 * np.cosh(z / 2))
        y = np.where(rng.random(n) < share, 0.5, y)
    return x, y, [f"j{k}" for k in judge], first, own


def test_weights_without_levels_are_penalised_logistic_regression():
    x, y, _, _, _ = planted(0)
    found = property_weights(x, y, ["a", "b", "c"], prior_sd=0.7)
    reference = LogisticRegression(C=0.7**2, fit_intercept=False, tol=1e-10).fit(x, y)
    np.testing.assert_allclose(found.mean, reference.coef_[0], atol=1e-4)
    p = expit(x @ found.mean)
    hessian = (x * (p * (1 - p))[:, None]).T @ x + np.eye(3) / 0.7**2
    np.testing.assert_allclose(found.sd, np.sqrt(np.diag(np.linalg.inv(hessian))), rtol=1e-3)
    # exchanging left and right changes nothing
    turned = property_weights(-x, 1 - y, ["a", "b", "c"], prior_sd=0.7)
    np.testing.assert_allclose(found.mean, turned.mean, atol=1e-8)
    weighed = property_weights(x, y, ["a", "b", "c"], weight=np.full(len(y), 2.0), prior_sd=0.7)
    double = property_weights(np.r_[x, x], np.r_[y, y], ["a", "b", "c"], prior_sd=0.7)
    np.testing.assert_allclose(weighed.mean, double.mean, atol=1e-8)


def test_planted_weights_of_judges_and_their_position_effects():
    errors, plain = [], []
    for seed in range(4):
        x, y, judge, first, own = planted(seed)
        found = property_weights(x, y, ["a", "b", "c"], judge=judge, first=first)
        labels, mean, sd = found.by_level["judge"]
        assert labels == tuple(f"j{k}" for k in range(6))
        errors.append((mean - own) / sd)
        alone = np.array([
            property_weights(x[rows], y[rows], ["a", "b", "c"], prior_sd=10.0).mean
            for rows in ([k for k, name in enumerate(judge) if name == label] for label in labels)
        ])  # fmt: skip
        plain.append([np.mean((mean - own) ** 2), np.mean((alone - own) ** 2)])
        assert 0.2 < found.level_sd["judge"] < 0.8
        assert all(abs(value - 0.6) < 4 * deviation for value, deviation in found.position.values())
    z = np.concatenate(errors).ravel()
    assert 0.88 <= np.mean(np.abs(z) < 1.96) <= 1.0
    pooled, alone = np.mean(plain, axis=0)
    assert pooled < alone


def test_levels_that_do_not_differ_shrink_away():
    x, y, _, _, _ = planted(3, spread=0.0)
    scenario = np.random.default_rng(0).integers(0, 8, len(y)).astype(str)
    found = property_weights(x, y, ["a", "b", "c"], scenario=scenario.tolist())
    assert found.level_sd["scenario"] < 0.15
    assert found.levels_frame().num_rows == 24
    assert json.loads(found.to_json())["level_sd"]["scenario"] < 0.15


def test_the_normal_approximation_agrees_with_polya_gamma_draws():
    x, y, judge, first, _ = planted(1, n=1200, judges=4)
    given = {"judge": judge, "first": first}
    fast = property_weights(x, y, ["a", "b", "c"], **given)
    drawn = property_weights(x, y, ["a", "b", "c"], **given, method="polya-gamma", draws=400)
    np.testing.assert_allclose(drawn.by_level["judge"][1], fast.by_level["judge"][1], atol=0.06)
    np.testing.assert_allclose(drawn.by_level["judge"][2], fast.by_level["judge"][2], rtol=0.2)
    # a half-normal prior of few judges leaves the common weights wider than the variance of most evidence
    np.testing.assert_allclose(drawn.mean, fast.mean, atol=0.12)
    assert (drawn.sd > 0.9 * fast.sd).all()
    for name, (value, deviation) in fast.position.items():
        assert drawn.position[name][0] == pytest.approx(value, abs=0.05)
        assert drawn.position[name][1] == pytest.approx(deviation, rel=0.2)
    again = property_weights(x, y, ["a", "b", "c"], **given, method="polya-gamma", draws=400)
    np.testing.assert_array_equal(again.mean, drawn.mean)


def test_polya_gamma_draws_of_weighted_rows_are_those_of_repeated_ones():
    x, y, _, _, _ = planted(0, n=300)
    twice = property_weights(x, y, ["a", "b", "c"], weight=np.full(300, 2.0), method="polya-gamma", draws=600)
    exact = property_weights(np.r_[x, x], np.r_[y, y], ["a", "b", "c"])
    np.testing.assert_allclose(twice.mean, exact.mean, atol=0.04)
    np.testing.assert_allclose(twice.sd, exact.sd, rtol=0.15)
    with pytest.raises(UsageError, match="no ties"):
        property_weights([[1.0], [1.0]], [1.0, 0.5], ["a"], method="polya-gamma")
    with pytest.raises(UsageError, match="whole numbers"):
        property_weights([[1.0], [1.0]], [1.0, 0.0], ["a"], weight=[0.5, 1.0], method="polya-gamma")


@pytest.mark.slow
def test_polya_gamma_draws_agree_with_nuts():
    pytest.importorskip("pyro")
    x, y, judge, first, _ = planted(2, n=300, judges=3)
    given = {"judge": judge, "first": first}
    gibbs, nuts = (
        property_weights(x, y, ["a", "b", "c"], **given, method=method, draws=draws)
        for method, draws in (("polya-gamma", 2000), ("nuts", 300))
    )
    np.testing.assert_allclose(gibbs.mean, nuts.mean, atol=0.12)
    np.testing.assert_allclose(gibbs.by_level["judge"][1], nuts.by_level["judge"][1], atol=0.08)
    np.testing.assert_allclose(gibbs.by_level["judge"][2], nuts.by_level["judge"][2], rtol=0.2)
    assert gibbs.level_sd["judge"] == pytest.approx(nuts.level_sd["judge"], abs=0.1)


@pytest.mark.slow
def test_the_normal_approximation_agrees_with_nuts():
    pytest.importorskip("pyro")
    x, y, judge, first, _ = planted(1, n=400, judges=3, ties=True)
    fast = property_weights(x, y, ["a", "b", "c"], judge=judge, first=first)
    drawn = property_weights(x, y, ["a", "b", "c"], judge=judge, first=first, method="nuts", draws=150)
    np.testing.assert_allclose(drawn.mean, fast.mean, atol=0.12)
    np.testing.assert_allclose(drawn.by_level["judge"][1], fast.by_level["judge"][1], atol=0.15)
    np.testing.assert_allclose(drawn.by_level["judge"][2], fast.by_level["judge"][2], rtol=0.3)
    for name, (value, deviation) in fast.position.items():
        assert drawn.position[name][0] == pytest.approx(value, abs=0.1)
        assert drawn.position[name][1] == pytest.approx(deviation, rel=0.3)


@pytest.mark.slow
def test_a_short_run_of_nuts_agrees_on_a_plain_model():
    pytest.importorskip("pyro")
    x, y, _, _, _ = planted(0, n=300)
    fast, drawn = (property_weights(x, y, ["a", "b", "c"], method=m, draws=150) for m in ("laplace", "nuts"))
    np.testing.assert_allclose(drawn.mean, fast.mean, atol=0.08)
    np.testing.assert_allclose(drawn.sd, fast.sd, rtol=0.35)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"preference": [1.0, 2.0]}, DataError, "do not fit"),
        ({"differences": [[1.0], [np.inf]]}, DataError, "not finite"),
        ({"judge": ["a"]}, DataError, "do not fit"),
        ({"first": [1, 0]}, DataError, "True or False"),
        ({"method": "gibbs"}, UsageError, "method='gibbs'"),
        ({"scenario": [str(k) for k in range(2)], "properties": ["a"], "prior_sd": 0.0}, UsageError, "prior_sd"),
    ],
)
def test_bad_weights_are_refused(change, error, says):
    parts = {"differences": [[1.0], [-1.0]], "preference": [1.0, 0.0], "properties": ["a"]} | change
    with pytest.raises(error, match=says):
        property_weights(parts.pop("differences"), parts.pop("preference"), parts.pop("properties"), **parts)
