"""Ids made of content: the same prompt and text have the same id in every file and on every machine."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["content_ids"]

_BLOCK = 1 << 16


def content_ids(texts: pa.LargeStringArray, prompts: pa.LargeStringArray | None = None) -> pa.LargeStringArray:
    """The first 32 hexadecimal digits of SHA-256 over prompt and text in UTF-8, each after its length in bytes.

    Lengths are 8 bytes, least significant first. A missing prompt counts as an empty one.

    Examples
    --------
    >>> import pyarrow as pa
    >>> content_ids(pa.array(["Yes."], pa.large_string()), pa.array(["Tea?"], pa.large_string()))[0].as_py()
    '67cfe70cb9e47bf8547f9170c4703903'
    """
    asked = pa.nulls(len(texts), pa.large_string()) if prompts is None else prompts
    digests = bytearray()
    for start in range(0, len(texts), _BLOCK):
        layout = _layout(asked.slice(start, _BLOCK), texts.slice(start, _BLOCK))
        _, offsets, content = layout.buffers()
        bytes_of = memoryview(content) if content is not None else memoryview(b"")
        ends = np.frombuffer(offsets, np.int64)[layout.offset : layout.offset + len(layout) + 1].tolist()
        for begin, end in pairwise(ends):
            digests += hashlib.sha256(bytes_of[begin:end]).digest()[:16]
    digits = pa.py_buffer(digests.hex().encode())
    ends = pa.py_buffer(np.arange(len(texts) + 1, dtype=np.int64) * 32)
    return pa.LargeStringArray.from_buffers(len(texts), ends, digits)


def _layout(prompts: pa.LargeStringArray, texts: pa.LargeStringArray) -> pa.Array:
    parts = []
    for column in (prompts, texts):
        content = pc.fill_null(column, "").cast(pa.large_binary())
        length = np.asarray(pc.binary_length(content).to_numpy(zero_copy_only=False), dtype="<i8")
        prefix = pa.FixedSizeBinaryArray.from_buffers(pa.binary(8), len(column), [None, pa.py_buffer(length)])
        parts += [prefix.cast(pa.large_binary()), content]
    return pc.binary_join_element_wise(*parts, pa.scalar(b"", pa.large_binary()))
