"""Exact linear algebra against fractions and floating point."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pluralism.solvers.exact_linear import null_space_dimension, solve_exactly

matrices = st.integers(1, 5).flatmap(
    lambda n: st.lists(st.lists(st.integers(-6, 6), min_size=n, max_size=n), min_size=n, max_size=n)
)


@given(matrices, st.data())
def test_solutions_solve_and_singular_systems_have_none(matrix, data):
    right = data.draw(st.lists(st.integers(-9, 9), min_size=len(matrix), max_size=len(matrix)))
    solution = solve_exactly(matrix, right)
    assert (solution is None) == (np.linalg.matrix_rank(np.array(matrix)) < len(matrix))
    if solution is not None:
        for row, side in zip(matrix, right, strict=True):
            assert sum((a * x for a, x in zip(row, solution, strict=True)), Fraction(0)) == side


@given(matrices)
def test_dimension_of_the_null_space(matrix):
    array = np.array(matrix, dtype=np.int64)
    assert null_space_dimension(array) == len(matrix) - np.linalg.matrix_rank(array)


def test_large_numbers_do_not_overflow():
    rng = np.random.default_rng(0)
    left = rng.integers(-(2**40), 2**40, (30, 7)) % 1000
    product = left @ rng.integers(-1000, 1000, (7, 30))
    assert null_space_dimension(product) == 23
    huge = [[2**70, 1], [3, 2**70]]
    x, y = solve_exactly(huge, [1, 0])
    assert 2**70 * x + y == 1 and 3 * x + 2**70 * y == 0
