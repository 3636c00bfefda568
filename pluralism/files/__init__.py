"""Files that are whole or not there: atomic writes, arrays without pickle, saved bundles, checkpoints."""

from __future__ import annotations

from pluralism.files.arrays import load_arrays, save_arrays
from pluralism.files.atomic import atomic_path, atomic_write
from pluralism.files.bundle import load_bundle, save_bundle
from pluralism.files.checkpoint import Checkpoint
from pluralism.files.digest import file_digest
from pluralism.files.line_log import LineLog
from pluralism.files.strings import decode_strings, encode_strings

__all__ = [
    "Checkpoint",
    "LineLog",
    "atomic_path",
    "atomic_write",
    "decode_strings",
    "encode_strings",
    "file_digest",
    "load_arrays",
    "load_bundle",
    "save_arrays",
    "save_bundle",
]
