"""Tables in files, by suffix: Parquet, CSV, TSV, JSON lines, Arrow and Feather."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from pluralism.data.csv_io import read_csv, write_csv
from pluralism.data.jsonl_io import read_jsonl, write_jsonl
from pluralism.data.sources import Source
from pluralism.errors import DataError
from pluralism.files import atomic_path

__all__ = ["read_source", "write_table"]

_Handler = TypeVar("_Handler")


def read_source(path: str | Path) -> Source:
    """Read all columns of a file.

    Parameters
    ----------
    path : str or Path
        A file ending in .parquet, .csv, .tsv, .jsonl, .ndjson, .arrow or .feather; texts may be gzipped (.csv.gz).

    Raises
    ------
    DataError
        If the file is missing, damaged or of another kind.
    """
    place = Path(path)
    reader = _choose(_READERS, place)
    if not place.exists():
        raise DataError("There is no such file.", where=str(place), fix="Check the path and the working directory.")
    if place.is_dir():
        raise DataError("This is a directory, not a file.", where=str(place), fix="Name the file itself.")
    try:
        return reader(place)
    except (pa.ArrowException, EOFError, OSError) as error:
        raise DataError(
            f"The file cannot be read: {error}", where=str(place), fix="Check that it is whole and of this format."
        ) from error


def write_table(table: pa.Table, path: str | Path) -> None:
    """Write a table in the format of the suffix; the file is whole or not there."""
    place = Path(path)
    writer = _choose(_WRITERS, place)
    with atomic_path(place) as temporary:
        writer(table, temporary)


def _choose(by_suffix: dict[str, _Handler], path: Path) -> _Handler:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    zipped = suffixes[-1:] == [".gz"]
    suffix = (suffixes[:-1] if zipped else suffixes)[-1:]
    if suffix and suffix[0] in by_suffix and not (zipped and suffix[0] not in _TEXTS):
        return by_suffix[suffix[0]]
    raise DataError(
        f"Files ending in {''.join(suffixes[-2:]) or 'nothing'!r} are not understood.",
        where=str(path),
        fix=f"Use one of {', '.join(by_suffix)} (.gz may follow {', '.join(_TEXTS)}).",
    )


def _read_parquet(path: Path) -> Source:
    import pyarrow.parquet

    # Not read_table, which would take folders such as "user=3" for columns.
    with pyarrow.parquet.ParquetFile(path) as file:
        return Source.of_table(file.read(), name=str(path))


def _write_parquet(table: pa.Table, path: Path) -> None:
    import pyarrow.parquet

    pyarrow.parquet.write_table(table, path, compression="zstd")


def _read_arrow(path: Path) -> Source:
    import pyarrow.feather

    try:
        table = pyarrow.feather.read_table(path, memory_map=True)
    except pa.ArrowInvalid:
        # The datasets library writes streams under the same suffix.
        with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as stream:
            table = stream.read_all()
    return Source.of_table(table, name=str(path))


def _write_arrow(table: pa.Table, path: Path) -> None:
    import pyarrow.feather

    pyarrow.feather.write_feather(table, str(path))


_TEXTS = (".csv", ".tsv", ".jsonl", ".ndjson")
_READERS: dict[str, Callable[[Path], Source]] = {
    ".parquet": _read_parquet,
    ".pq": _read_parquet,
    ".csv": read_csv,
    ".tsv": lambda path: read_csv(path, "\t"),
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".arrow": _read_arrow,
    ".feather": _read_arrow,
}
_WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {
    ".parquet": _write_parquet,
    ".pq": _write_parquet,
    ".csv": write_csv,
    ".tsv": lambda table, path: write_csv(table, path, "\t"),
    ".jsonl": write_jsonl,
    ".ndjson": write_jsonl,
    ".arrow": _write_arrow,
    ".feather": _write_arrow,
}
