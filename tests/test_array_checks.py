"""The test run does check shapes, and lets functions refuse bad arguments themselves."""

from __future__ import annotations

import numpy as np
import pytest
from array_checks import check_arrays
from jaxtyping import Float, TypeCheckError, jaxtyped

import pluralism.calibration


@jaxtyped(typechecker=check_arrays)
def share(
    part: Float[np.ndarray, " rows"], whole: Float[np.ndarray, " rows"], kind: str = "ratio"
) -> Float[np.ndarray, " rows"]:
    if kind != "ratio":
        raise ValueError(kind)
    return part / whole[: len(part)]


def test_agreeing_shapes_pass() -> None:
    np.testing.assert_array_equal(share(np.ones(3), np.full(3, 2.0)), np.full(3, 0.5))


@pytest.mark.parametrize("whole", [np.ones(4), np.ones((3, 1)), np.ones(3, dtype=int)])
def test_other_shapes_and_dtypes_fail(whole: np.ndarray) -> None:
    with pytest.raises(TypeCheckError):
        share(np.ones(3), whole)


def test_a_function_may_refuse_bad_arguments_itself() -> None:
    with pytest.raises(ValueError, match="sum"):
        share(np.ones(3), np.ones(4), kind="sum")


def test_the_package_is_checked() -> None:
    assert hasattr(pluralism.calibration.ece, "__wrapped__")
