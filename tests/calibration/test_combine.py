"""Every entry of the invariance table: what holds is searched for a violation, what does not has a stored one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pluralism.calibration import INVARIANCES, PROPERTIES, CDFCalibrator, combine, lsc_and, reference_levels
from pluralism.errors import DataError, UsageError

COUNTEREXAMPLES = json.loads((Path(__file__).parent / "counterexamples.json").read_text(encoding="utf-8"))
HOLDS = [(how, name) for how, row in INVARIANCES.items() for name, holds in row.items() if holds]
FAILS = [(how, name) for how, row in INVARIANCES.items() for name, holds in row.items() if not holds]
PARETO = ("weak pareto", "pareto")


def ranking(score: np.ndarray) -> np.ndarray:
    """Sign of each difference; rounding is a tie, and so are two scores of minus infinity."""
    score = np.where(np.isneginf(score), -1e18, score)
    difference = score[:, None] - score[None]
    return np.where(np.abs(difference) <= 1e-9, 0, np.sign(difference)).astype(int)


def dominates(a: np.ndarray, b: np.ndarray, name: str) -> bool:
    return bool((a > b).all() if name == "weak pareto" else (a >= b).all() and (a > b).any())


def same_ranking(before: np.ndarray, after: np.ndarray, kept: list[int], how: str) -> bool:
    """Whether the kept candidates, the first ones of `after`, are ranked as before."""
    one = ranking(combine(before, how))[np.ix_(kept, kept)]
    two = ranking(combine(after, how))[: len(kept), : len(kept)]
    return bool((one == two).all())


@st.composite
def rewards(draw) -> np.ndarray:
    n, k = draw(st.integers(2, 5)), draw(st.integers(2, 4))
    return np.array(draw(st.lists(st.lists(st.integers(-4, 4), min_size=k, max_size=k), min_size=n, max_size=n)), float)


def increasing(draw) -> np.ndarray:
    """The values of a strictly increasing function at -4, ..., 4."""
    return np.cumsum([draw(st.integers(1, 6)) for _ in range(9)]) - 20.0


def changed(draw, r: np.ndarray, name: str) -> tuple[np.ndarray, list[int]]:
    n, k = r.shape
    everybody = list(range(n))
    code = (r + 4).astype(int)
    shift, scale = st.integers(-5, 5), st.sampled_from([0.5, 1, 2, 3])
    if name == "common shift":
        return r + draw(shift), everybody
    if name == "shift":
        return r + np.array([draw(shift) for _ in range(k)]), everybody
    if name == "common scale":
        return r * draw(scale), everybody
    if name == "scale":
        return r * np.array([draw(scale) for _ in range(k)]), everybody
    if name == "common monotone":
        return increasing(draw)[code], everybody
    if name == "monotone":
        return np.column_stack([increasing(draw)[code[:, j]] for j in range(k)]), everybody
    if name == "anonymity":
        return r[:, draw(st.permutations(range(k)))], everybody
    if name == "objective clone":
        return np.column_stack([r, r[:, draw(st.integers(0, k - 1))]]), everybody
    if name == "candidate clone":
        return np.vstack([r, r[draw(st.integers(0, n - 1))]]), everybody
    gone = draw(st.integers(0, n - 1))
    kept = [i for i in everybody if i != gone]
    return r[kept], kept


@pytest.mark.parametrize(("how", "name"), HOLDS)
@settings(max_examples=50)
@given(data=st.data())
def test_what_is_said_to_hold_holds(how: str, name: str, data) -> None:
    r = data.draw(rewards())
    if name in PARETO:
        order = ranking(combine(r, how))
        for i in range(len(r)):
            for j in range(len(r)):
                assert order[i, j] > 0 or not dominates(r[i], r[j], name)
        return
    after, kept = changed(data.draw, r, name)
    assert same_ranking(r, after, kept, how)


@pytest.mark.parametrize(("how", "name"), FAILS)
def test_what_is_said_to_fail_has_a_counterexample(how: str, name: str) -> None:
    case = COUNTEREXAMPLES[how][name]
    if name in PARETO:
        r = np.array(case["rewards"], float)
        assert dominates(r[case["better"]], r[case["worse"]], name)
        assert ranking(combine(r, how))[case["better"], case["worse"]] <= 0
        return
    before, after = np.array(case["before"], float), np.array(case["after"], float)
    assert is_such_a_change(before, after, case["kept"], name)
    assert not same_ranking(before, after, case["kept"], how)


def is_such_a_change(before: np.ndarray, after: np.ndarray, kept: list[int], name: str) -> bool:
    """Whether `after` comes about from `before` as the property says."""
    if name == "objective clone":
        return bool((after[:, :-1] == before).all() and any((after[:, -1] == column).all() for column in before.T))
    if name == "candidate clone":
        return bool((after[:-1] == before).all() and (after[-1] == before).all(axis=1).any())
    if name == "other candidates":
        return len(after) == len(before) - 1 and bool((after == before[kept]).all())
    if name == "shift":
        return bool((after - before == (after - before)[0]).all())
    if name in ("scale", "common scale"):
        factors = after[before != 0] / before[before != 0]
        columns = np.broadcast_to(np.arange(before.shape[1]), before.shape)[before != 0]
        groups = [factors[columns == j] for j in range(before.shape[1])] if name == "scale" else [factors]
        return all(len(set(group)) <= 1 and (group > 0).all() for group in groups) and bool(
            (after[before == 0] == 0).all()
        )
    pairs = (
        [(before.ravel(), after.ravel())] if name == "common monotone" else list(zip(before.T, after.T, strict=True))
    )
    return all((np.sign(x[:, None] - x) == np.sign(y[:, None] - y)).all() for x, y in pairs)


def test_the_table_is_whole() -> None:
    assert all(list(row) == list(PROPERTIES) for row in INVARIANCES.values())
    assert len(HOLDS) + len(FAILS) == len(INVARIANCES) * len(PROPERTIES) == 96
    assert len(FAILS) == sum(map(len, COUNTEREXAMPLES.values())) == 41


def test_scores_by_hand() -> None:
    r = np.array([[1.0, 4.0, 2.0], [2.0, 1.0, 3.0], [0.0, 5.0, 0.0]])
    np.testing.assert_allclose(combine(r), r.mean(axis=1))
    np.testing.assert_allclose(combine(r, weights=[1, -1, 0]), [-3, 1, -5])
    np.testing.assert_allclose(combine(r, "chebyshev"), [-1, -4, -3])
    np.testing.assert_allclose(combine(r, "chebyshev", weights=[2, 0.5, 1]), [-2, -2, -4])
    np.testing.assert_allclose(combine(r, "min"), [1, 1, 0])
    np.testing.assert_allclose(combine(r, "median"), [2, 2, 0])
    np.testing.assert_allclose(combine(r, "nash"), [np.log(1 * 3 * 2), -np.inf, -np.inf])
    np.testing.assert_allclose(
        combine(r, "nash", reference=[[-1.0, 0.0, -1.0]]), np.log([2 * 4 * 3, 3 * 1 * 4, 1 * 5 * 1])
    )
    np.testing.assert_allclose(combine(r, "borda"), (np.array([3 + 3 + 3, 5 + 1 + 5, 1 + 5 + 1]) / 6) / 3)
    np.testing.assert_allclose(combine(r, "lsc_and"), lsc_and(r, reference_levels(r, shrinkage=0)))


def test_a_weight_of_zero_leaves_an_objective_out() -> None:
    r = np.random.default_rng(0).normal(size=(6, 3))
    for how in ("linear", "chebyshev", "lsc_and", "lsc_or", "nash", "borda"):
        np.testing.assert_allclose(
            combine(r, how, weights=[1, 0, 2]), combine(r[:, [0, 2]], how, weights=[1, 2]), atol=1e-12
        )


def test_prompts_are_combined_one_by_one() -> None:
    r = np.random.default_rng(0).normal(size=(4, 6, 3))
    reference = np.random.default_rng(1).normal(size=(4, 9, 3))
    for how in INVARIANCES:
        np.testing.assert_allclose(combine(r, how), [combine(one, how) for one in r])
        np.testing.assert_allclose(
            combine(r, how, reference=reference),
            [combine(one, how, reference=other) for one, other in zip(r, reference, strict=True)],
        )


def test_borda_is_the_mean_place_among_the_references() -> None:
    r, reference = np.random.default_rng(0).normal(size=(5, 2)), np.random.default_rng(1).normal(size=(30, 2))
    place = CDFCalibrator(shrinkage=0).fit(reference).transform(r)
    np.testing.assert_allclose(combine(r, "borda", reference=reference), place.mean(axis=1))


def test_chebyshev_reaches_what_no_linear_weights_reach() -> None:
    """The middle of three candidates lies below the line of the others: a front that is not convex."""
    r = np.array([[1.0, 0.0], [0.4, 0.4], [0.0, 1.0]])
    for share in np.linspace(0, 1, 101):
        assert np.argmax(combine(r, "linear", weights=[share, 1 - share])) != 1
    assert np.argmax(combine(r, "chebyshev")) == 1


def test_what_cannot_be_combined() -> None:
    r = np.ones((3, 2))
    with pytest.raises(UsageError, match="linear, chebyshev, min"):
        combine(r, "mean")
    with pytest.raises(UsageError, match="axis of objectives"):
        combine([1.0, 2.0])
    with pytest.raises(UsageError, match="takes no weights"):
        combine(r, "min", weights=[1, 1])
    for weights in ([1.0], [-1, 1], [0, 0], [np.nan, 1]):
        with pytest.raises(UsageError, match="weights"):
            combine(r, "nash", weights=weights)
    with pytest.raises(DataError, match="finite"):
        combine([[np.nan, 1.0]])
    with pytest.raises(UsageError, match="objectives"):
        combine(r, reference=np.ones((4, 3)))


def test_the_page_shows_the_table(repository) -> None:
    lines = (repository / "docs" / "calibration.md").read_text(encoding="utf-8").splitlines()
    for name in PROPERTIES:
        cells = ["yes" if row[name] else "–" for row in INVARIANCES.values()]
        assert f"| {name} | {' | '.join(cells)} |" in lines
