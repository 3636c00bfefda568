"""Slates that speak for all, Schulze on predicted rankings, and what an interview teaches."""

from __future__ import annotations

import json
from itertools import combinations, pairwise, permutations

import numpy as np
import pytest

from pluralism.elicitation.neighbours.deliberation import deliberate, rank_statements
from pluralism.elicitation.neighbours.generative_slate import from_pool, generative_slate
from pluralism.elicitation.neighbours.predictive_gain import mean_gain, predictive_gain
from pluralism.errors import DataError, UsageError
from pluralism.social_choice import greedy_bjr


@pytest.mark.parametrize("seed", range(4))
def test_a_pool_gives_the_greedy_slate_and_nobody_deserves_more(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, k, pool = 11, 3, [f"s{i}" for i in range(7)]
    worth = rng.normal(size=(n, 7))
    found = generative_slate(n, k, from_pool(pool), lambda texts: worth[:, [pool.index(t) for t in texts]])
    plain = greedy_bjr(worth, k, candidates=pool)
    assert found.slate.statements == plain.statements
    assert found.slate.assignment.tolist() == plain.assignment.tolist()
    assert found.slate.thresholds == plain.thresholds
    assert found.check.holds and found.proposed_in == (1,) * 7
    # balanced justified representation by its definition, over all coalitions
    mine = found.slate.utility
    size = -(-n // k)
    for statement in range(7):
        for coalition in combinations(range(n), size):
            members = list(coalition)
            assert not worth[members, statement].min() > mine[members].max()


def test_statements_are_written_for_those_whom_none_represents() -> None:
    positions = np.array([0.0, 0.1, 0.2, 5.0, 5.1, 5.2])
    asked: list[tuple[list[int], int]] = []

    def write(left: np.ndarray, share: int) -> list[str]:
        asked.append((left.tolist(), share))
        return [str(float(np.median(positions[left][:share]))), str(float(np.median(positions[left][:share])))]

    def rate(statements: list[str]) -> np.ndarray:
        return -np.abs(positions[:, None] - np.array([float(s) for s in statements])[None])

    found = generative_slate(6, 2, write, rate)
    assert asked == [([0, 1, 2, 3, 4, 5], 3), ([3, 4, 5], 3)]
    assert found.slate.assignment.tolist() == [0, 0, 0, 1, 1, 1]
    assert found.proposed_in == (1, 2) and found.check.holds
    assert found.to_frame().num_rows == 2 and json.loads(found.to_json())["proposed_in"] == [1, 2]
    with pytest.raises(DataError, match="No statement is left"):
        generative_slate(6, 2, lambda left, share: ["1.0"], rate, repeats=False)
    with pytest.raises(DataError, match="ratings have shape"):
        generative_slate(6, 2, write, lambda texts: np.zeros((5, len(texts))))
    for wrong in (lambda: generative_slate(6, 7, write, rate), lambda: from_pool([])):
        with pytest.raises(UsageError):
            wrong()


def schulze_by_hand(places: np.ndarray) -> list[int]:
    """Place of each statement, by all paths."""
    m = places.shape[1]
    d = np.array([[np.sum(places[:, x] < places[:, y]) for y in range(m)] for x in range(m)])
    link = np.where(d > d.T, d, 0)

    def width(a: int, b: int) -> int:
        others = [v for v in range(m) if v not in (a, b)]
        paths = [(a, *middle, b) for n in range(m - 1) for middle in permutations(others, n)]
        return max(min(link[x, y] for x, y in pairwise(path)) for path in paths)

    wins = [sum(width(x, y) >= width(y, x) for y in range(m) if y != x) for x in range(m)]
    return [sorted(set(wins), reverse=True).index(w) for w in wins]


@pytest.mark.parametrize("seed", range(6))
def test_schulze_on_rankings_with_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    places = rng.integers(4, size=(7, 5)).astype(float)
    found = rank_statements(list("abcde"), places, rng=0)
    assert found.schulze_rank.tolist() == schulze_by_hand(places)
    assert sorted(found.order) == [0, 1, 2, 3, 4]
    assert all(
        found.schulze_rank[a] <= found.schulze_rank[b] for a, b in zip(found.order, found.order[1:], strict=False)
    )


def test_ties_are_broken_by_random_ballots_and_then_by_chance() -> None:
    places = np.array([[0, 1, 2], [1, 0, 2.0]])
    firsts = {rank_statements("abc", places, rng=seed).winner for seed in range(30)}
    assert firsts == {"a", "b"}
    found = rank_statements("abc", places, rng=1)
    assert found.schulze_rank.tolist() == [0, 0, 1] and len(found.tie_breaks) == 1
    assert found.winner == ("a" if found.tie_breaks == (0,) else "b")
    # whoever sees no difference leaves the tie to the next ballot, and all of them to chance
    alike = np.array([[0, 0.0], [1, 1]])
    assert {rank_statements("ab", alike, rng=seed).winner for seed in range(30)} == {"a", "b"}
    assert rank_statements("ab", alike, rng=0).tie_breaks in ((0, 1), (1, 0))
    swapped = {rank_statements("ab", np.array([[0, 0.0], [1, 0]]), rng=seed).winner for seed in range(20)}
    assert swapped == {"b"}


def test_failed_predictions_are_skipped() -> None:
    places = np.array([[0, 1], [np.nan, 0], [0, 1.0]])
    found = rank_statements("ab", places, rng=0)
    assert found.skipped == (1,) and found.winner == "a"
    nobody = {rank_statements("ab", np.full((2, 2), np.nan), rng=seed).winner for seed in range(30)}
    assert nobody == {"a", "b"}
    assert found.to_frame()["statement"].to_pylist() == ["a", "b"] and found.to_json() and "first: 'a'" in repr(found)
    for wrong in (np.zeros((2, 3)), np.full((1, 2), np.inf), np.zeros(2)):
        with pytest.raises(DataError):
            rank_statements("ab", wrong)


def test_a_deliberation_drafts_ranks_and_revises() -> None:
    seen: list[tuple[list[str], str | None, list[str]]] = []

    def draft(opinions: list[str], winner: str | None, critiques: list[str]) -> list[str]:
        seen.append((list(opinions), winner, list(critiques)))
        return [f"{len(seen)}:{text}" for text in opinions[:3]]

    told = []

    def predict(opinions: list[str], statements: list[str], winner: str | None, critiques: list[str]) -> np.ndarray:
        told.append((winner, list(critiques)))
        return np.array([[0.0 if s.endswith(o) else 1.0 for s in statements] for o in opinions])

    asked = lambda winner: ["no a", "", "no c", "not c"]  # noqa: E731
    found = deliberate(["a", "b", "c", "c"], draft, predict, asked, n_critiques=1, rng=0)
    assert len(found.rounds) == 2 and seen[0][1] is None and seen[1][1] == found.rounds[0].ranked.winner
    assert sorted(seen[0][0]) == ["a", "b", "c", "c"] and seen[0][2] == []
    # whoever said something stands at the same place in both lists
    assert sorted(zip(seen[1][0], seen[1][2], strict=True)) == [("a", "no a"), ("b", ""), ("c", "no c"), ("c", "not c")]
    assert told == [(None, []), (found.rounds[0].ranked.winner, ["no a", "", "no c", "not c"])]
    assert found.statement == "2:c" or "c" not in seen[1][0][:3]
    assert found.rounds[1].critiques == ()
    assert found.to_frame().num_rows == 2 and found.to_json() and "2 rounds" in repr(found)
    with pytest.raises(DataError, match="No statement was drafted"):
        deliberate(["a"], lambda *_: [], predict, lambda _: [])
    with pytest.raises(DataError, match="2 critiques of 1 participants"):
        deliberate(["a"], draft, predict, lambda _: ["x", "y"])
    with pytest.raises(UsageError):
        deliberate([], draft, predict, lambda _: [])


def test_gain_of_an_interview_by_hand() -> None:
    said = [True, False, True, False]
    minutes = [0.0, 1.0, 3.0]
    p = np.array([[0.5, 0.5, 0.5, 0.5], [0.7, 0.5, 0.6, 0.4], [0.9, 0.1, 0.8, 0.6]])
    found = predictive_gain(minutes, p, said)
    assert found.score == pytest.approx([0.5, 0.6, 0.75])
    assert found.final == pytest.approx(0.25) and found.per_minute == pytest.approx(0.25 / 3)
    assert found.area == pytest.approx((0.05 * 1 + 0.175 * 2) / 3)
    assert found.at(0.5) == 0 and found.at(2.0) == pytest.approx(0.1) and found.at(9.0) == pytest.approx(0.25)
    assert predictive_gain(minutes, p, said, metric="accuracy").score == pytest.approx([0.5, 0.875, 0.75])
    assert predictive_gain(minutes, p, said, metric="auroc").score == pytest.approx([0.5, 1.0, 1.0])
    assert found.to_frame().num_rows == 3 and found.to_json() and "a minute" in repr(found)
    late = predictive_gain(minutes, p[[0, 0, 2]], said)
    assert late.final == found.final and late.area < found.area
    for wrong in (([0.5, 1, 3], p, said), ([0, 2, 1], p, said), (minutes, 2 * p, said), (minutes, p, said[:3])):
        with pytest.raises(DataError):
            predictive_gain(*wrong)
    with pytest.raises(DataError, match="no ROC curve"):
        predictive_gain(minutes, p, [True] * 4, metric="auroc")
    with pytest.raises(UsageError):
        predictive_gain(minutes, p, said, metric="x")  # pyright: ignore


def test_mean_gain_has_an_interval_over_interviews() -> None:
    rng = np.random.default_rng(0)
    gains = [
        predictive_gain([0, 2.0], np.clip([[0.5] * 20, 0.6 + 0.1 * rng.normal(size=20)], 0, 1), np.ones(20, bool))
        for _ in range(40)
    ]
    found = mean_gain(gains)
    assert found.n == 40 and found.final[1] < 0.1 < found.final[2]
    assert found.per_minute[0] == pytest.approx(found.final[0] / 2) and found.area[0] == pytest.approx(
        found.final[0] / 2
    )
    assert found.to_frame().num_rows == 3 and found.to_json() and "40 interviews" in repr(found)
    assert np.isnan(mean_gain(gains[:1]).final[1])
    with pytest.raises(UsageError):
        mean_gain([])
