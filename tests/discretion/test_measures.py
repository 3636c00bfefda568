"""Discretion on tables worked by hand, its invariances, resamples, and what cannot be audited."""

from __future__ import annotations

import itertools
import json
import warnings

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pluralism.data import Comparisons
from pluralism.discretion.annotators.verdicts import Verdicts
from pluralism.discretion.measures.audit import audit_discretion
from pluralism.discretion.measures.counts import CountedRows
from pluralism.discretion.measures.intervals import percentiles, share_interval
from pluralism.discretion.measures.single import discretion_arbitrariness, principle_supremacy
from pluralism.discretion.preferences import PrinciplePreferences
from pluralism.errors import ComponentWarning, DataError, SeparationWarning, UsageError
from pluralism.social_choice import copeland

# rows: kind, brief, true; what each principle says, and what ann and bob say
SIGNS = [
    [1, 1, 0],  # consensus for left
    [-1, 0, 0],  # consensus for right
    [1, -1, 0],  # conflicts
    [1, -1, 0],
    [1, -1, 0],
    [-1, 1, 1],
    [0, 1, -1],
    [0, 0, 0],  # indifference
]
ANN = [1, 1, 1, 1, 0, 0, 1, 1]
BOB = [0.5, 0, 0, 0, 1, float("nan"), 0, 1]
NAMES = ["kind", "brief", "true"]


def comparisons(n, *, user=None):
    return Comparisons.from_arrays(left=np.arange(n), right=np.arange(n) + n, user=user)


@pytest.fixture(scope="module")
def audit():
    found = PrinciplePreferences.from_signs(NAMES, SIGNS)
    with pytest.warns((SeparationWarning, ComponentWarning)):
        return audit_discretion(
            comparisons(8), found, [Verdicts("ann", ANN), Verdicts("bob", BOB)], n_bootstrap=200, rng=0
        )


def test_the_table_gives_the_exact_values(audit):
    np.testing.assert_allclose(audit.categories.shares, [2 / 8, 5 / 8, 1 / 8])
    assert audit.category.tolist() == [0, 0, 1, 1, 1, 1, 1, 2]
    arbitrary = audit.arbitrariness
    np.testing.assert_allclose(arbitrary.value, [1 / 2, 0])
    np.testing.assert_allclose(arbitrary.coverage, [1, 1 / 2])
    np.testing.assert_allclose(arbitrary.chance_corrected, [0, 1])
    np.testing.assert_allclose(arbitrary.by_principle, [[1 / 2, 0, np.nan], [0, np.nan, np.nan]])
    np.testing.assert_allclose(arbitrary.by_size, [[1, 0, np.nan], [0, np.nan, np.nan]])
    ann = audit.supremacy_of("ann")
    # kind against brief: rows 3 to 6 say kind, kind, brief, kind; kind against true: row 6; brief against true: row 7
    np.testing.assert_allclose(ann.wins, [[0, 3, 1], [1, 0, 1], [0, 0, 0]])
    np.testing.assert_allclose(ann.games, [[0, 4, 1], [4, 0, 1], [1, 1, 0]])
    assert ann.probability[0, 1] == 3 / 4
    assert np.isnan(ann.probability[0, 0])
    bob = audit.supremacy_of("bob")
    np.testing.assert_allclose(bob.wins, [[0, 1, 0], [2, 0, 0], [0, 1, 0]])
    assert audit.priority_of("ann").order == ("kind", "brief", "true")
    assert audit.priority_of("bob").order == ("true", "brief", "kind")
    np.testing.assert_allclose(audit.discrepancy.value, [[0, 1], [1, 0]])
    assert audit.discrepancy.of("ann", "bob") == 1.0
    assert audit.discrepancy.pairs[0, 1] == 3
    low, high = audit.discrepancy.interval[0, 1]
    assert low < 1.0
    assert high == 1.0


def test_single_measures_are_those_of_the_audit(audit):
    for threshold, graded in ((None, False), (0.5, False), (None, True)):
        data = comparisons(8)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            whole = audit_discretion(
                data, audit.preferences, audit.annotators, threshold=threshold, graded=graded, n_bootstrap=0
            )
        given = {"threshold": threshold, "graded": graded}
        alone = discretion_arbitrariness(audit.preferences, audit.annotators, **given)
        np.testing.assert_array_equal(alone.value, whole.arbitrariness.value)
        for annotator, expected in zip(audit.annotators, whole.supremacy, strict=True):
            found = principle_supremacy(audit.preferences, annotator, **given)
            np.testing.assert_array_equal(found.wins, expected.wins)
            np.testing.assert_array_equal(found.verdict, expected.verdict)
    with pytest.raises(DataError, match="3 weights"):
        discretion_arbitrariness(audit.preferences, audit.annotators, weight=[1, 1, 1])


def test_results_have_frames_and_json(audit):
    for result in (
        audit,
        audit.categories,
        audit.arbitrariness,
        audit.discrepancy,
        *audit.supremacy,
        *audit.priority,
        audit.preferences,
        audit.annotators[1],
        audit.supremacy[0].tournament,
    ):
        assert result.to_frame().num_rows
        assert json.loads(result.to_json())
        assert repr(result)
    assert audit.to_frame()["contested"].to_pylist() == [3, 3]
    assert "consensus 25.0%" in repr(audit)


def test_the_rows_with_most_discretion_come_first(audit):
    # only ann breaks a consensus (row 2); then row 5 with row 3 and 4: one or both override one principle
    rows = audit.most_discretion(3)
    assert rows[0] == 1
    assert set(rows[1:]) <= {2, 3, 4, 5, 6}
    assert len(audit.most_discretion(100)) == 6


def test_the_tournament_and_the_profile_are_the_same_contests(audit):
    ann = audit.supremacy_of("ann")
    graph = ann.graph()
    assert set(graph.edges) == {("kind", "brief"), ("kind", "true"), ("brief", "true")}
    assert graph.edges["kind", "brief"]["margin"] == 1 / 4
    assert ann.tournament.tiers == (("kind",), ("brief",), ("true",))
    assert ann.tournament.components == (("kind", "brief", "true"),)
    profile = ann.profile()
    np.testing.assert_array_equal(profile.support, ann.wins)
    assert copeland(profile).winners == ("kind",)


def test_circles_are_found():
    signs = [[1, -1, 0], [0, 1, -1], [-1, 0, 1]] * 2
    audit = audit_discretion(
        comparisons(6),
        PrinciplePreferences.from_signs(NAMES, signs),
        [Verdicts("round", np.ones(6))],
        n_bootstrap=0,
    )
    tournament = audit.supremacy[0].tournament
    assert tournament.circles == (("kind", "brief", "true"),)
    assert len(tournament.tiers) == 1
    np.testing.assert_allclose(audit.priority[0].weight, 0, atol=1e-9)
    np.testing.assert_allclose(audit.priority[0].rank, 2)
    assert np.isnan(audit.discrepancy.value[0, 0])


def tables(draw):
    n, c, a = draw(st.integers(1, 7)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    grades = st.sampled_from([-1.0, -0.6, 0.0, 0.3, 1.0])
    signs = draw(st.lists(st.lists(grades, min_size=c, max_size=c), min_size=n, max_size=n))
    verdict = st.sampled_from([0.0, 0.25, 0.5, 1.0, float("nan")])
    verdicts = draw(st.lists(st.lists(verdict, min_size=n, max_size=n), min_size=a, max_size=a))
    return signs, verdicts


def run(signs, verdicts, **options):
    n = len(signs)
    names = [f"p{k}" for k in range(len(signs[0]))]
    data = options.pop("data", comparisons(n))
    return audit_discretion(
        data,
        PrinciplePreferences.from_signs(names, signs),
        [Verdicts(f"a{k}", verdict) for k, verdict in enumerate(verdicts)],
        n_bootstrap=0,
        **options,
    )


def same(one, other, places=None, people=None):
    places = slice(None) if places is None else places
    people = slice(None) if people is None else people
    np.testing.assert_allclose(one.categories.shares, other.categories.shares, atol=1e-9)
    np.testing.assert_allclose(one.arbitrariness.value, other.arbitrariness.value[people], atol=1e-9)
    np.testing.assert_allclose(one.arbitrariness.coverage, other.arbitrariness.coverage[people], atol=1e-9)
    a = np.stack([s.probability for s in one.supremacy])
    b = np.stack([s.probability for s in other.supremacy])[people][:, places][:, :, places]
    np.testing.assert_allclose(a, b, atol=1e-9)


@pytest.mark.filterwarnings("ignore::pluralism.errors.PluralismWarning")
@settings(max_examples=15)
@given(st.data(), st.booleans())
def test_swapping_relabelling_and_duplicating_change_nothing(data, graded):
    signs, verdicts = tables(data.draw)
    one = run(signs, verdicts, graded=graded)
    turn = np.array(data.draw(st.lists(st.booleans(), min_size=len(signs), max_size=len(signs))))
    turned = np.where(turn[:, None], -np.array(signs), signs)
    other = run(turned, np.where(turn, 1 - np.array(verdicts), verdicts), graded=graded)
    same(one, other)
    for p, q in zip(one.priority, other.priority, strict=True):
        np.testing.assert_allclose(p.weight, q.weight, atol=1e-7)
    np.testing.assert_allclose(one.discrepancy.value, other.discrepancy.value, atol=1e-9)
    places = np.array(data.draw(st.permutations(range(len(signs[0])))))
    people = np.array(data.draw(st.permutations(range(len(verdicts)))))
    rows = np.array(data.draw(st.permutations(range(len(signs)))))
    moved = run(np.array(signs)[rows][:, places], np.array(verdicts)[people][:, rows], graded=graded)
    same(moved, one, places, people)
    double = run(signs + signs, [v + v for v in verdicts], graded=graded)
    same(one, double)
    data_twice = Comparisons.from_arrays(
        left=np.arange(len(signs)), right=np.arange(len(signs)) + len(signs), weight=np.full(len(signs), 2.0)
    )
    same(double, run(signs, verdicts, graded=graded, data=data_twice))


@pytest.mark.filterwarnings("ignore::pluralism.errors.PluralismWarning")
@settings(max_examples=25)
@given(st.data())
def test_graded_counts_are_the_expectation_over_decisions(data):
    signs, verdicts = tables(data.draw)
    signs, verdicts = np.array(signs)[:2, :3], np.array(verdicts)[:1, :2]
    audit = run(signs.tolist(), verdicts.tolist(), graded=True)
    n, c = signs.shape
    categories, agreement, wins = np.zeros(3), np.zeros(2), np.zeros((c, c))
    p = np.stack([np.maximum(signs, 0), np.maximum(-signs, 0), 1 - np.abs(signs)], axis=-1)
    for row in range(n):
        known = not np.isnan(verdicts[0, row])
        for choice in itertools.product(range(3), repeat=c):
            chance = np.prod([p[row, k, choice[k]] for k in range(c)])
            sides = set(choice) - {2}
            categories[{1: 0, 2: 1, 0: 2}[len(sides)]] += chance
            for side in (0, 1) if known else ():
                mass = chance * (verdicts[0, row] if side == 0 else 1 - verdicts[0, row])
                if len(sides) == 1:
                    agreement[int(side not in sides)] += mass
                for i, j in itertools.permutations(range(c), 2):
                    if choice[i] == side and choice[j] == 1 - side:
                        wins[i, j] += mass
    np.testing.assert_allclose(audit.categories.shares, categories / n, atol=1e-12)
    np.testing.assert_allclose(audit.supremacy[0].wins, wins, atol=1e-12)
    if agreement.sum() > 1e-9:
        np.testing.assert_allclose(audit.arbitrariness.value, agreement[1] / agreement.sum(), atol=1e-9)


@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize("clustered", [False, True])
def test_resamples_are_counts_of_the_rows_drawn(graded, clustered):
    rng = np.random.default_rng(0)
    n, c, a = 40, 4, 3
    left = rng.random((n, c)) * (rng.random((n, c)) < 0.5)
    right = (1 - left) * rng.random((n, c)) * (rng.random((n, c)) < 0.7)
    if not graded:
        signs = np.sign(left - right) * (rng.random((n, c)) < 0.6)
        left, right = (signs > 0) * 1.0, (signs < 0) * 1.0
    verdict = rng.integers(0, 2, (n, a)) * 1.0
    sides = np.stack([verdict, 1 - verdict], axis=2)
    sides[rng.random((n, a)) < 0.2] = 0.0
    unit = rng.integers(0, 9, n) if clustered else rng.permutation(n)
    rows = CountedRows(left, right, sides, rng.integers(1, 3, n) * 1.0, unit)
    drawn = rows.resampled(3, np.random.default_rng(5))
    times = next(iter_draws(rows.n_units, 3, np.random.default_rng(5)))
    for k in range(3):
        again = np.repeat(np.arange(n), times[k][unit].astype(int))
        direct = CountedRows(left[again], right[again], sides[again], rows.weight[again], np.arange(len(again)))
        expected = direct.observed()
        for name in ("categories", "agreement", "by_principle", "by_size", "wins"):
            np.testing.assert_allclose(getattr(drawn, name)[k], getattr(expected, name)[0], rtol=1e-5, atol=1e-4)


def iter_draws(n_units, n_draws, rng):
    from pluralism.evaluation.bootstrap import resample_users

    return resample_users(n_units, n_draws, rng)


def test_a_coin_scores_chance():
    rng = np.random.default_rng(0)
    n = 4000
    audit = audit_discretion(
        comparisons(n),
        PrinciplePreferences.from_signs(NAMES, rng.integers(-1, 2, (n, 3))),
        [Verdicts("coin", rng.integers(0, 2, n))],
        n_bootstrap=200,
    )
    low, high = audit.arbitrariness.interval[0]
    assert low < 0.5 < high
    assert high - low < 0.08
    low, high = audit.priority[0].interval.T
    assert (low < 0).all()
    assert (high > 0).all()


@pytest.mark.parametrize(("share", "n"), [(0.0, 20), (0.01, 60), (0.02, 100), (0.3, 40), (0.97, 30)])
def test_intervals_of_shares_hold_where_resamples_are_all_the_same(share, n):
    rng = np.random.default_rng(0)
    held = []
    for hits in rng.binomial(n, share, 400):
        draws = rng.binomial(n, hits / n, (200, 1)) / n
        low, high = share_interval(np.array([hits / n]), np.array([float(n)]), draws, 0.95)[0]
        held.append(low <= share <= high)
        assert 0 <= low <= hits / n <= high <= 1
        assert high - low > 0.02
    assert np.mean(held) >= 0.925


def test_intervals_of_many_verdicts_are_percentiles_of_resamples():
    rng = np.random.default_rng(1)
    value, mass = np.array([0.3]), np.array([4000.0])
    draws = rng.binomial(4000, 0.3, (2000, 1)) / 4000
    np.testing.assert_allclose(share_interval(value, mass, draws, 0.95), percentiles(draws, 0.95), atol=0.002)
    # 200 people whose verdicts are all alike are worth 200
    clustered = rng.binomial(200, 0.3, (2000, 1)) / 200
    found = share_interval(value, mass, clustered, 0.95)
    np.testing.assert_allclose(found, percentiles(clustered, 0.95), atol=0.01)
    # shares of probabilities vary less than decisions
    graded = rng.normal(0.3, 0.001, (2000, 1))
    np.testing.assert_allclose(share_interval(value, mass, graded, 0.95)[0], [0.298, 0.302], atol=2e-4)
    assert np.isnan(share_interval(value, mass, np.empty((0, 1)), 0.95)).all()
    # draws in which there is nothing to share are left out
    draws[::2] = np.nan
    np.testing.assert_allclose(share_interval(value, mass, draws, 0.95), percentiles(draws, 0.95), atol=0.002)


def test_one_verdict_is_not_sure():
    with pytest.warns(SeparationWarning):
        audit = audit_discretion(
            comparisons(2),
            PrinciplePreferences.from_signs(["p", "q"], [[1, -1], [1, 1]]),
            [Verdicts("a", [1, 1])],
            n_bootstrap=100,
        )
    low, high = audit.supremacy[0].interval[0, 1]
    assert low < 0.5
    assert high == 1.0
    assert audit.supremacy[0].graph().edges["p", "q"]["low"] < 0.5
    low, high = audit.arbitrariness.interval[0]
    assert low == 0.0
    assert high > 0.5
    assert (np.ptp(audit.categories.intervals, axis=1) > 0.3).all()


def test_thresholds_and_exact_ties():
    found = PrinciplePreferences(["p"], [[0.3], [0.3], [0.45]], [[0.2], [0.3], [0.15]])
    assert found.signs().ravel().tolist() == [0, 0, 1]
    assert found.signs(0.5).ravel().tolist() == [1, 0, 1]
    assert found.signs(0.3).ravel().tolist() == [0, 0, 0]
    with pytest.warns(ComponentWarning, match="met no other"):
        audit = audit_discretion(comparisons(3), found, [Verdicts("a", [1, 1, 1])], n_bootstrap=0)
    sweep = {row["threshold"]: row["indifference"] for row in audit.categories.sweep.to_pylist()}
    assert sweep[0.3] == pytest.approx(1.0)
    assert sweep[0.9] == pytest.approx(1 / 3)


def test_people_are_drawn_again_by_name():
    n = 300
    # each person always sides with the same principle: comparisons are many, people are few
    user = np.repeat(np.arange(6), n // 6)
    signs = np.tile([[1, -1]], (n, 1))
    verdict = np.isin(user, [0, 1, 2]).astype(float)
    data = Comparisons.from_arrays(left=np.arange(n), right=np.arange(n) + n, user=user)
    found = PrinciplePreferences.from_signs(["x", "y"], signs)
    spans = {
        by: audit_discretion(data, found, [Verdicts("people", verdict)], by=by, rng=0).supremacy[0].interval[0, 1]
        for by in ("comparison", "annotator")
    }
    narrow, wide = (np.ptp(spans[by]) for by in ("comparison", "annotator"))
    assert narrow < 0.15
    assert wide > 0.5


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"annotators": []}, UsageError, "different names"),
        ({"annotators": [Verdicts("a", [1, 1]), Verdicts("a", [1, 1])]}, UsageError, "different names"),
        ({"annotators": [Verdicts("a", [1])]}, DataError, "1 verdicts of 'a'"),
        ({"by": "user"}, UsageError, "by='user'"),
        ({"by": "annotator"}, UsageError, "one user"),
        ({"level": 1.0}, UsageError, "level=1.0"),
        ({"ridge": -1.0}, UsageError, "ridge=-1.0"),
        ({"threshold": 2.0}, UsageError, "no probability"),
        ({"n_bootstrap": 10**9}, UsageError, "do not fit into memory"),
    ],
)
def test_what_cannot_be_audited_is_refused(change, error, says):
    given_parts = {"annotators": [Verdicts("a", [1, 0])], "n_bootstrap": 0} | change
    with pytest.raises(error, match=says):
        audit_discretion(comparisons(2), PrinciplePreferences.from_signs(["p", "q"], [[1, -1], [1, -1]]), **given_parts)


def test_bad_probabilities_are_named():
    with pytest.raises(DataError, match=r"P\(left\) = 0.8 and P\(right\) = 0.4"):
        PrinciplePreferences(["p"], [[0.8]], [[0.4]])
    with pytest.raises(DataError, match="no probabilities"):
        PrinciplePreferences(["p"], [[float("nan")]], [[0.4]])
    with pytest.raises(DataError, match="one probability"):
        Verdicts("a", [1.5])
    with pytest.raises(UsageError, match="different ids"):
        PrinciplePreferences(["p", "p"], [[1, 0]], [[0, 1]])


def test_the_graph_is_networkx(audit):
    assert isinstance(audit.supremacy[0].graph(), nx.DiGraph)
