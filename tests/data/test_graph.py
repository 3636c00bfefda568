from __future__ import annotations

import networkx as nx
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pluralism.data.graph import components, strong_components, undefeated_and_winless, win_edges

N_ITEMS = 8
edges = st.lists(st.tuples(st.integers(0, N_ITEMS - 1), st.integers(0, N_ITEMS - 1)), max_size=20)


def _columns(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    array = np.array(pairs, dtype=np.int32).reshape(-1, 2)
    return array[:, 0], array[:, 1]


def _partition(labels: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == k).tolist()) for k in np.unique(labels)}


@settings(max_examples=50)
@given(edges)
def test_components_are_those_of_networkx(pairs: list[tuple[int, int]]) -> None:
    graph = nx.Graph(pairs)
    graph.add_nodes_from(range(N_ITEMS))
    labels = components(*_columns(pairs), N_ITEMS)
    assert _partition(labels) == {frozenset(c) for c in nx.connected_components(graph)}


@settings(max_examples=50)
@given(edges)
def test_strong_components_are_those_of_networkx(pairs: list[tuple[int, int]]) -> None:
    graph = nx.DiGraph(pairs)
    graph.add_nodes_from(range(N_ITEMS))
    labels = strong_components(*_columns(pairs), N_ITEMS)
    assert _partition(labels) == {frozenset(c) for c in nx.strongly_connected_components(graph)}


@settings(max_examples=50)
@given(edges)
def test_components_are_numbered_by_size(pairs: list[tuple[int, int]]) -> None:
    sizes = np.bincount(components(*_columns(pairs), N_ITEMS))
    assert np.all(np.diff(sizes) <= 0)
    assert sizes.sum() == N_ITEMS


def test_many_parallel_edges_do_not_overflow_the_graph() -> None:
    left, right = np.zeros(65536, dtype=np.int32), np.ones(65536, dtype=np.int32)
    assert components(left, right, 2).tolist() == [0, 0]
    assert strong_components(left, right, 2).tolist() == [0, 1]


def test_no_items() -> None:
    none = np.empty(0, dtype=np.int32)
    assert len(components(none, none, 0)) == 0


def test_ties_and_graded_outcomes_are_wins_for_both() -> None:
    left, right = np.array([0, 1, 2]), np.array([1, 2, 3])
    winner, loser = win_edges(left, right, np.array([1.0, 0.5, 0.0]))
    assert sorted(zip(winner.tolist(), loser.tolist(), strict=True)) == [(0, 1), (1, 2), (2, 1), (3, 2)]
    graded, _ = win_edges(left[:1], right[:1], np.array([0.3]))
    assert sorted(graded.tolist()) == [0, 1]


def test_undefeated_and_winless_leave_out_items_that_were_never_compared() -> None:
    undefeated, winless = undefeated_and_winless(np.array([0, 1]), np.array([1, 2]), 4)
    assert undefeated.tolist() == [True, False, False, False]
    assert winless.tolist() == [False, False, True, False]
