"""PageRank against networkx, and with the mass of dead ends lost."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from pluralism.solvers.pagerank import pagerank


def random_edges(seed: int, n: int = 12, m: int = 30) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    key = rng.choice(n * n, m, replace=False)
    key = key[key // n != key % n]
    return key // n, key % n, rng.random(len(key))


@pytest.mark.parametrize("seed", range(5))
def test_it_is_networkx_with_dangling_nodes(seed: int) -> None:
    tail, head, weight = random_edges(seed)
    graph = nx.DiGraph()
    graph.add_nodes_from(range(12))
    graph.add_weighted_edges_from(zip(tail.tolist(), head.tolist(), weight.tolist(), strict=True))
    expected = nx.pagerank(graph, alpha=0.85, tol=1e-14, max_iter=1000)
    found = pagerank(tail, head, weight[None], np.ones((1, 12), bool))[0]
    assert np.allclose(found, [expected[i] for i in range(12)], atol=1e-10)
    assert found.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("seed", range(5))
def test_lost_mass_scales_the_scores_and_keeps_their_order(seed: int) -> None:
    tail, head, weight = random_edges(seed)
    nodes = np.ones((1, 12), bool)
    kept = pagerank(tail, head, weight[None], nodes)[0]
    lost = pagerank(tail, head, weight[None], nodes, dangling=False)[0]
    assert lost.sum() <= kept.sum() + 1e-12
    assert np.allclose(lost / lost.sum(), kept, atol=1e-10)


def test_a_chain_by_hand() -> None:
    # r_0 = .15/2, r_1 = .15/2 + .85 r_0; the mass of node 1 is lost
    found = pagerank(np.array([0]), np.array([1]), np.ones((1, 1)), np.ones((1, 2), bool), dangling=False)[0]
    assert found == pytest.approx([0.075, 0.075 * 1.85])


def test_nodes_left_out_have_no_score_and_draws_are_apart() -> None:
    tail, head = np.array([0, 1]), np.array([1, 2])
    weight = np.array([[1.0, 0.0], [1.0, 2.0], [0.0, 0.0]])
    nodes = np.array([[True, True, False], [True, True, True], [False, False, False]])
    found = pagerank(tail, head, weight, nodes)
    assert np.isnan(found[0, 2]) and np.isnan(found[2]).all()
    assert found[0, :2].sum() == pytest.approx(1) and found[1].sum() == pytest.approx(1)
    assert found[1, 0] < found[1, 1] < found[1, 2]
