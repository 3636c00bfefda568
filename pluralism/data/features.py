"""Feature matrices: opened memory-mapped, checked block by block, never copied."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from pluralism.errors import DataError

__all__ = ["check_features", "open_features"]

_LARGEST = 1e15
"""Squares of larger values overflow the single-precision sums in which rewards are computed."""
_SMALLEST = 1e-15
"""Squares of smaller values vanish there."""
_BLOCK_BYTES = 1 << 24
_BITS: dict[int, type[np.unsignedinteger]] = {2: np.uint16, 4: np.uint32, 8: np.uint64}


def open_features(path: str | Path) -> np.ndarray:
    """Memory-map a `.npy` matrix for reading.

    Raises
    ------
    DataError
        If the file is missing, is no .npy file, or would need pickle to be read.
    """
    try:
        features = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise DataError(
            "There is no such features file.", where=str(path), fix="Give the path of a .npy file."
        ) from None
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"The features cannot be read: {error}",
            where=str(path),
            fix="Write them with numpy.save(path, array) as a 2-D float16 or float32 array.",
        ) from error
    if not isinstance(features, np.ndarray):
        raise DataError("The file holds several arrays.", where=str(path), fix="Save one matrix with numpy.save.")
    return features


def check_features(
    features: np.ndarray, ids: pa.LargeStringArray, *, where: str = "features"
) -> Float[np.ndarray, "items dim"]:
    """Check a feature matrix and return it as a read-only view.

    Rows must be finite, of ordinary size (largest absolute value between 1e-15 and 1e15: outside of it inner
    products overflow or vanish in single precision) and not zero. The matrix is read once in blocks of 16 MiB, so a
    memory-mapped one stays on disk.

    Parameters
    ----------
    features : ndarray of shape (items, dim)
        float16, float32 or float64 in native byte order.
    ids : LargeStringArray of length items
        Names of the rows, for messages.
    where : str
        Name of the file or argument, for messages.

    Raises
    ------
    DataError
        Naming the first bad rows and their item ids.
    """
    if features.ndim != 2:
        raise DataError(
            f"Features must be a matrix (items x dim), not of shape {features.shape}.",
            where=where,
            fix="Pass a 2-D numpy array.",
        )
    if features.dtype.kind != "f" or features.dtype.itemsize not in _BITS or not features.dtype.isnative:
        raise DataError(
            f"Features must be float16, float32 or float64 in native byte order, not {features.dtype}.",
            where=where,
            fix="Convert them with features.astype(numpy.float32).",
        )
    if features.shape[0] != len(ids):
        raise DataError(
            f"There are {features.shape[0]:,} rows of features but {len(ids):,} items.",
            where=where,
            fix="Give exactly one row for each item, in the order of the items.",
        )
    if features.shape[1] == 0:
        raise DataError("Features have no columns.", where=where, fix="Pass a matrix with at least one column.")
    if not features.flags.c_contiguous:
        if isinstance(features, np.memmap):
            raise DataError(
                "The features file is stored column by column, so reading a row would touch the whole file.",
                where=where,
                fix="Save it again with numpy.save(path, numpy.ascontiguousarray(features)).",
            )
        features = np.ascontiguousarray(features)
    _check_rows(features, ids, where)
    view = features.view()
    view.flags.writeable = False
    return view


def _check_rows(features: Float[np.ndarray, "items dim"], ids: pa.LargeStringArray, where: str) -> None:
    unsigned = _BITS[features.dtype.itemsize]
    magnitude = np.array(np.iinfo(unsigned).max >> 1, dtype=unsigned)
    # Read as integers without the sign bit, floats keep their order, with infinity and NaN above all numbers.
    infinity, largest, smallest = (_as_bits(value, features.dtype, unsigned) for value in (np.inf, _LARGEST, _SMALLEST))
    step = max(1, _BLOCK_BYTES // (features.shape[1] * features.dtype.itemsize))
    bad: dict[str, list[int]] = {"NaN or infinite values": [], "values above 1e15": [], "no non-zero value": []}
    counts = dict.fromkeys(bad, 0)
    for start in range(0, len(features), step):
        peak = (features[start : start + step].view(unsigned) & magnitude).max(axis=1)
        broken, huge = peak >= infinity, (peak > largest) & (peak < infinity)
        for name, mask in zip(bad, (broken, huge, peak < smallest), strict=True):
            if mask.any():
                counts[name] += int(mask.sum())
                bad[name] += (start + np.flatnonzero(mask)[:5]).tolist()
    found = {name: rows[:5] for name, rows in bad.items() if rows}
    if found:
        parts = [
            f"{counts[name]:,} row{'s' * (counts[name] > 1)} with {name} (row {', '.join(str(r + 1) for r in rows)};"
            f" id {', '.join(repr(ids[r].as_py()) for r in rows)})"
            for name, rows in found.items()
        ]
        raise DataError(
            "Features are unusable: " + "; ".join(parts) + ".",
            where=where,
            fix="Encode these items again (float16 overflows above 65504), or remove them from the data.",
        )


def _as_bits(value: float, dtype: np.dtype, unsigned: type[np.unsignedinteger]) -> np.unsignedinteger:
    with np.errstate(over="ignore", under="ignore"):
        bits = np.array([value]).astype(dtype).view(unsigned)[0]
    # Half precision holds nothing between 0 and 6e-8: there, one is the smallest magnitude that is not zero.
    return max(bits, unsigned(1))
