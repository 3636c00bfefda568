from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pluralism.data import Comparisons, simulate_mixture
from pluralism.data.folds import default_blocks, folds
from pluralism.data.split import split_comparisons
from pluralism.errors import UsageError

Rows = list[tuple[int, int, int, float]]
# Few users and items, so that pairs repeat, in either order, and graphs fall apart.
judgements = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 8), st.integers(1, 8), st.sampled_from([0.0, 0.5, 1.0])),
    min_size=2,
    max_size=40,
)


def _build(rows: Rows) -> Comparisons:
    user, left, step, outcome = (np.array(column) for column in zip(*rows, strict=True))
    return Comparisons.from_arrays(left, (left + step) % 9, user=user, outcome=outcome)


shares = st.sampled_from([0.05, 0.2, 0.5, 0.8, 0.95])
seeds = st.integers(0, 3)


def _rows(data: Comparisons) -> list[tuple[int, int, int, float]]:
    return sorted(zip(*(getattr(data, name).tolist() for name in ("user", "left", "right", "outcome")), strict=True))


def _user_pairs(data: Comparisons) -> set[tuple[int, int, int]]:
    triples = zip(data.user.tolist(), data.left.tolist(), data.right.tolist(), strict=True)
    return {(u, min(a, b), max(a, b)) for u, a, b in triples}


@settings(max_examples=50, deadline=None)
@given(judgements, shares, seeds, st.sampled_from(["pair", "row", "user", "prompt"]))
def test_a_split_keeps_every_row_once_and_all_vocabularies(rows: Rows, share: float, seed: int, by: str) -> None:
    data = _build(rows)
    try:
        train, test = data.split(test=share, by=by, rng=seed)
    except UsageError as error:
        assert "only one" in str(error)
        return
    assert len(train) > 0 and len(test) > 0
    assert sorted(_rows(train) + _rows(test)) == _rows(data)
    assert train.users.equals(data.users) and test.items is data.items


@settings(max_examples=50, deadline=None)
@given(judgements, shares, seeds)
def test_by_pair_no_user_sees_a_pair_on_both_sides(rows: Rows, share: float, seed: int) -> None:
    data = _build(rows)
    if len(_user_pairs(data)) < 2:
        return
    train, test = data.split(test=share, by="pair", rng=seed)
    assert not _user_pairs(train) & _user_pairs(test)


@settings(max_examples=50, deadline=None)
@given(judgements, shares, seeds)
def test_by_user_the_users_differ(rows: Rows, share: float, seed: int) -> None:
    data = _build(rows)
    if len(set(data.user.tolist())) < 2:
        return
    train, test = data.split(test=share, by="user", rng=seed)
    assert not set(train.user.tolist()) & set(test.user.tolist())


@settings(max_examples=50, deadline=None)
@given(judgements, shares, seeds)
def test_without_prompts_components_of_items_stay_whole(rows: Rows, share: float, seed: int) -> None:
    data = _build(rows)
    graph = nx.Graph(list(zip(data.left.tolist(), data.right.tolist(), strict=True)))
    if nx.number_connected_components(graph) < 2:
        with pytest.raises(UsageError, match="only one connected block"):
            data.split(test=share, by="prompt", rng=seed)
        return
    train, test = data.split(test=share, by="prompt", rng=seed)
    seen = set(np.concatenate([train.left, train.right]).tolist())
    assert not seen & set(np.concatenate([test.left, test.right]).tolist())


def test_prompts_stay_whole_and_prompts_that_are_compared_stay_together() -> None:
    data = simulate_mixture(n_users=40, n_items=60, n_prompts=10, rng=1).comparisons
    codes = data.items.prompt_codes()
    train, test = data.split(test=0.3, by="prompt", rng=0)
    assert not set(codes[train.left].tolist()) & set(codes[test.left].tolist())
    assert abs(len(test) / len(data) - 0.3) < 0.08

    bridge = Comparisons.from_arrays(
        [int(np.flatnonzero(codes == 0)[0])], [int(np.flatnonzero(codes == 1)[0])], items=data.items
    )
    for seed in range(5):
        train, test = data.concat(bridge).split(test=0.3, by="prompt", rng=seed)
        test_prompts = set(codes[test.left].tolist()) | set(codes[test.right].tolist())
        assert len(test_prompts & {0, 1}) in (0, 2)


@pytest.mark.parametrize("by", ["pair", "row"])
def test_every_user_gives_his_share(by: str) -> None:
    data = simulate_mixture(n_users=50, n_items=100, pairs_per_user=20, rng=0).comparisons
    _, test = data.split(test=0.2, by=by, rng=0)
    np.testing.assert_array_equal(np.bincount(test.user, minlength=50), 4)


@pytest.mark.parametrize("by", ["pair", "row"])
def test_users_with_few_rows_give_the_share_on_average(by: str) -> None:
    data = simulate_mixture(n_users=1000, n_items=100, pairs_per_user=1, n_groups=2, rng=0).comparisons
    _, test = data.split(test=0.2, by=by, rng=0)
    assert abs(len(test) - 200) <= 1
    other = data.split(test=0.2, by=by, rng=1)[1]
    assert not np.array_equal(test.user, other.user)


@pytest.mark.parametrize("by", ["pair", "row", "user"])
def test_seeds_repeat(by: str) -> None:
    data = simulate_mixture(n_users=30, rng=0).comparisons
    first, again, other = (data.split(by=by, rng=seed)[1] for seed in (3, 3, 4))
    assert first.equals(again) and not first.equals(other)


def test_one_user_with_most_of_the_data_does_not_swamp_the_test_part() -> None:
    counts = [1000] + [10] * 40
    data = simulate_mixture(n_users=41, n_items=100, pairs_per_user=counts, rng=0).comparisons
    for seed in range(5):
        _, test = data.split(test=0.1, by="user", rng=seed)
        assert abs(len(test) - 140) <= 5


def test_unknown_units_are_refused() -> None:
    data = simulate_mixture(n_users=5, rng=0).comparisons
    unknown: Any = "topic"
    with pytest.raises(UsageError, match=r"'topic'(.|\n)*'pair', 'row', 'user', 'prompt'"):
        split_comparisons(data, by=unknown)
    with pytest.raises(UsageError, match=r"'topic'(.|\n)*'prompt', 'item'"):
        folds(data, by=unknown)


def test_impossible_requests_are_refused() -> None:
    data = Comparisons.from_arrays([0, 1], [1, 2])
    with pytest.raises(UsageError, match="only one user"):
        data.split(by="user")
    with pytest.raises(UsageError, match="between 0 and 1"):
        data.split(test=1.0)
    with pytest.raises(UsageError, match="no row"):
        data.take(np.zeros(2, dtype=bool)).split(by="row")


@settings(max_examples=50, deadline=None)
@given(judgements, st.integers(2, 4), seeds, st.sampled_from(["prompt", "item", "user", "vote", "pair", "row"]))
def test_folds_train_on_nothing_they_are_tested_on(rows: Rows, n_folds: int, seed: int, by: str) -> None:
    data = _build(rows)
    try:
        masks = folds(data, n_folds, by=by, rng=seed)
    except UsageError:
        return
    assert len(masks) == n_folds
    assert np.all(np.any([validation for _, validation in masks], axis=0))
    for train, validation in masks:
        assert train.any() and validation.any() and np.all(train ^ validation)
        a, b = data.take(train), data.take(validation)
        if by == "user":
            assert not set(a.user.tolist()) & set(b.user.tolist())
        if by in ("pair", "vote"):
            assert not _user_pairs(a) & _user_pairs(b)
        if by == "prompt":
            seen = set(np.concatenate([a.left, a.right]).tolist())
            assert not seen & set(np.concatenate([b.left, b.right]).tolist())


@pytest.mark.parametrize("by", ["item", "vote"])
def test_a_held_out_entity_is_in_no_training_row(by: str) -> None:
    data = simulate_mixture(n_users=20, n_items=50, rng=2).comparisons
    n_folds, left_only = 4, []
    for train, validation in folds(data, n_folds, by=by, rng=0):
        # What a fold holds out is what no training row touches: each validation row has at least one such end.
        key = data.user.astype(np.int64) * 50 if by == "vote" else np.zeros(len(data), dtype=np.int64)
        trained = set((key + data.left)[train].tolist()) | set((key + data.right)[train].tolist())
        ends = np.column_stack([key + data.left, key + data.right])[validation]
        held_out = ~np.isin(ends, list(trained))
        assert held_out.any(axis=1).all()
        left_only.append(validation.mean())
    # Each end is in the fold with probability 1/4: about 1 - (3/4)^2 of the rows are touched.
    assert abs(np.mean(left_only) - 7 / 16) < 0.03


def test_folds_are_balanced_and_seeded() -> None:
    data = simulate_mixture(n_users=60, n_items=60, n_prompts=12, rng=0).comparisons
    masks = folds(data, 4, by="prompt", rng=0)
    sizes = [int(validation.sum()) for _, validation in masks]
    assert sum(sizes) == len(data) and max(sizes) - min(sizes) < 0.15 * len(data) / 4
    again, other = folds(data, 4, by="prompt", rng=0), folds(data, 4, by="prompt", rng=1)
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(masks, again, strict=True))
    assert not all(np.array_equal(a[0], b[0]) for a, b in zip(masks, other, strict=True))


def test_folds_say_when_there_are_too_few_entities() -> None:
    data = simulate_mixture(n_users=3, n_items=30, rng=0).comparisons
    with pytest.raises(UsageError, match="only 3"):
        folds(data, 5, by="user")
    with pytest.raises(UsageError, match="only 1"):
        folds(data, 5, by="prompt")
    with pytest.raises(UsageError, match="at least 2"):
        folds(data, 1, by="row")
    with pytest.raises(UsageError, match="nothing is left"):
        folds(Comparisons.from_arrays([0, 0], [1, 1]), 2, by="item")


def test_default_blocks() -> None:
    plain = simulate_mixture(n_users=10, n_items=30, rng=0).comparisons
    prompted = simulate_mixture(n_users=10, n_items=30, n_prompts=6, rng=0).comparisons
    made = Comparisons.from_arrays([0, 1], [1, 2], origin="ratings")
    assert [default_blocks(data, 5) for data in (plain, prompted, made)] == ["item", "prompt", "vote"]
    assert default_blocks(prompted, 7) == "item"
