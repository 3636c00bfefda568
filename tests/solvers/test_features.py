import numpy as np
import pytest
from scipy.sparse import random_array

from pluralism.solvers import features as features_module
from pluralism.solvers.features import FeatureMatrix


@pytest.fixture(params=["float64", "float32", "float16"])
def pair(request, monkeypatch):
    monkeypatch.setattr(features_module, "SMALL", 0)
    monkeypatch.setattr(features_module, "BLOCK_ROWS", 7)
    array = np.random.default_rng(0).normal(size=(40, 6)).astype(request.param)
    array.setflags(write=False)
    return FeatureMatrix(array), array.astype(np.float64)


def test_products_equal_dense_ones(pair):
    matrix, dense = pair
    rng = np.random.default_rng(1)
    heads, values = rng.normal(size=(6, 3)), rng.normal(size=(40, 3))
    tolerance = {"rtol": 1e-5, "atol": 1e-5}
    np.testing.assert_allclose(matrix.matmul(heads), dense @ heads, **tolerance)
    np.testing.assert_allclose(matrix.rmatmul(values), dense.T @ values, **tolerance)
    np.testing.assert_allclose(matrix.rows(np.array([3, 3, 39])), dense[[3, 3, 39]], **tolerance)
    sparse = random_array((11, 40), density=0.3, rng=rng).tocsr()
    np.testing.assert_allclose(matrix.left_multiply(sparse), sparse @ dense, **tolerance)
    square = random_array((40, 40), density=0.1, rng=rng).tocsr()
    np.testing.assert_allclose(matrix.sandwich(square), dense.T @ square.toarray() @ dense, **tolerance)
    start = np.array([0, 3, 3, 5])
    left, right, signed = np.array([0, 1, 2, 3, 39]), np.array([5, 6, 7, 8, 0]), rng.normal(size=5)
    expected = np.zeros((3, 6))
    np.add.at(expected, [0, 0, 0, 2, 2], signed[:, None] * (dense[left] - dense[right]))
    np.testing.assert_allclose(matrix.difference_sums(start, left, right, signed), expected, **tolerance)
    middle = np.cov(dense.T)
    np.testing.assert_allclose(matrix.quadratic(middle), np.diag(dense @ middle @ dense.T), **tolerance)


def test_half_precision_is_not_converted_whole(monkeypatch, tmp_path):
    monkeypatch.setattr(features_module, "SMALL", 0)
    path = tmp_path / "features.npy"
    np.save(path, np.ones((10, 4), dtype=np.float16))
    mapped = np.load(path, mmap_mode="r")
    matrix = FeatureMatrix(mapped)
    assert matrix.array is mapped
    assert matrix.compute_dtype == np.float32


def test_small_matrices_are_held_in_double_precision():
    matrix = FeatureMatrix(np.ones((10, 4), dtype=np.float16))
    assert matrix.array.dtype == np.float64
