"""Linear algebra on whole numbers, exactly: the dimension of a null space, and solutions as fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numba import njit

__all__ = ["null_space_dimension", "solve_exactly"]

PRIME = 2_147_483_629
"""The largest prime below 2^31 - 1, so that products of remainders fit into 64 bits."""


@njit(cache=True)
def _rank(matrix, prime):
    n, m = matrix.shape
    rank = 0
    for column in range(m):
        pivot = -1
        for row in range(rank, n):
            if matrix[row, column] != 0:
                pivot = row
                break
        if pivot < 0:
            continue
        if pivot != rank:
            for j in range(column, m):
                matrix[pivot, j], matrix[rank, j] = matrix[rank, j], matrix[pivot, j]
        # Fermat: the inverse is the power prime - 2.
        inverse, power, exponent = 1, matrix[rank, column], prime - 2
        while exponent > 0:
            if exponent & 1:
                inverse = inverse * power % prime
            power = power * power % prime
            exponent >>= 1
        for row in range(rank + 1, n):
            if matrix[row, column] != 0:
                factor = prime - matrix[row, column] * inverse % prime
                for j in range(column, m):
                    matrix[row, j] = (matrix[row, j] + factor * matrix[rank, j]) % prime
        rank += 1
    return rank


def null_space_dimension(matrix: np.ndarray) -> int:
    """Dimension of the null space of a matrix of whole numbers.

    Parameters
    ----------
    matrix : int64 array of shape (rows, columns)

    Notes
    -----
    The rank is counted modulo one prime, so it is never too large, and too small only where that prime divides the
    minors that matter: a dimension of 1 is proved for a matrix that is known to be singular.
    """
    return int(matrix.shape[1] - _rank(np.mod(matrix, PRIME).astype(np.int64), PRIME))


def solve_exactly(matrix: list[list[int]], right: list[int]) -> list[Fraction] | None:
    """Solve a square system of whole numbers; None where it is singular.

    Notes
    -----
    E. H. Bareiss, Sylvester's identity and multistep integer-preserving Gaussian elimination, 1968: every division
    leaves no remainder, so that numbers grow no more than determinants do.
    """
    n = len(matrix)
    rows = [[*map(int, row), int(side)] for row, side in zip(matrix, right, strict=True)]
    before = 1
    for k in range(n):
        pivot = next((i for i in range(k, n) if rows[i][k]), None)
        if pivot is None:
            return None
        rows[k], rows[pivot] = rows[pivot], rows[k]
        top, lead = rows[k], rows[k][k]
        for i in range(k + 1, n):
            row, factor = rows[i], rows[i][k]
            rows[i] = [0] * (k + 1) + [(lead * row[j] - factor * top[j]) // before for j in range(k + 1, n + 1)]
        before = lead
    solution = [Fraction(0)] * n
    for k in range(n - 1, -1, -1):
        known = sum((rows[k][j] * solution[j] for j in range(k + 1, n)), Fraction(0))
        solution[k] = (rows[k][n] - known) / rows[k][k]
    return solution
