"""The Hodge decomposition against dense projections, and on flows whose parts are known."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from pluralism.solvers.hodge import gradient_potential, hodge_decomposition


def projection(matrix: np.ndarray, target: np.ndarray, weight: np.ndarray) -> np.ndarray:
    root = np.sqrt(weight)
    return matrix @ np.linalg.lstsq(matrix * root[:, None], target * root, rcond=None)[0]


@pytest.mark.parametrize("seed", range(6))
def test_parts_are_the_projections(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 9
    pairs = np.array([pair for pair in combinations(range(n), 2) if rng.random() < 0.45])
    swap = rng.random(len(pairs)) < 0.5
    tail, head = np.where(swap, pairs[:, 1], pairs[:, 0]), np.where(swap, pairs[:, 0], pairs[:, 1])
    flow, weight = rng.normal(size=len(pairs)), rng.uniform(0.5, 4, size=len(pairs))
    found = hodge_decomposition(tail, head, flow, weight, n)
    incidence = np.zeros((len(pairs), n))
    incidence[np.arange(len(pairs)), tail] = -1
    incidence[np.arange(len(pairs)), head] = 1
    gradient = projection(incidence, flow, weight)
    assert np.allclose(found.gradient, gradient, atol=1e-8)
    assert np.allclose(gradient_potential(tail, head, flow, weight, n), found.potential)
    place = {pair: (i, 1) for i, pair in enumerate(zip(tail.tolist(), head.tolist(), strict=True))}
    place |= {(b, a): (i, -1) for (a, b), (i, _) in list(place.items())}
    circles = []
    for a, b, c in combinations(range(n), 3):
        if all(pair in place for pair in ((a, b), (b, c), (c, a))):
            row = np.zeros(len(pairs))
            for pair in ((a, b), (b, c), (c, a)):
                row[place[pair][0]] = place[pair][1]
            circles.append(row)
    assert found.n_triangles == len(circles) > 0
    curl = projection(np.array(circles).T / weight[:, None], flow - gradient, weight)
    assert np.allclose(found.curl, curl, atol=1e-7)
    assert np.allclose(found.gradient + found.curl + found.harmonic, flow)
    assert found.gradient_share + found.curl_share + found.harmonic_share == pytest.approx(1)
    assert weight @ (found.curl * found.harmonic) == pytest.approx(0, abs=1e-7)


def test_a_ranking_a_triangle_and_a_long_circle() -> None:
    tail, head = np.array([0, 1, 2, 3, 0]), np.array([1, 2, 3, 0, 2])
    ones = np.ones(5)
    height = np.array([0.0, 1.0, 3.0, -1.0])
    ranked = hodge_decomposition(tail, head, height[head] - height[tail], ones, 4)
    assert ranked.gradient_share == pytest.approx(1)
    assert np.allclose(ranked.potential - ranked.potential[0], height)
    triangle = hodge_decomposition(np.array([0, 1, 2]), np.array([1, 2, 0]), np.ones(3), np.ones(3), 3)
    assert (triangle.curl_share, triangle.n_triangles) == (pytest.approx(1), 1)
    square = hodge_decomposition(tail[:4], head[:4], ones[:4], ones[:4], 4)
    assert (square.harmonic_share, square.n_triangles) == (pytest.approx(1), 0)
    none = hodge_decomposition(tail, head, 0 * ones, ones, 4)
    assert np.isnan(none.gradient_share) and not none.potential.any()
