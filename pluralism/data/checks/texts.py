"""Texts that an encoder will not read to the end."""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc

from pluralism.data.checks.view import SHOWN, item_label, not_tested
from pluralism.data.items import Items
from pluralism.data.report import Check

__all__ = ["long_texts"]

LONGEST = 256
"""Word pieces that the packaged encoder reads, prompt included."""


def long_texts(items: Items) -> Check:
    """Texts that are probably longer than an encoder reads, by a rule of thumb: 4/3 pieces a word, 6 bytes a piece."""
    name = "over-long texts"
    if items.texts is None:
        return not_tested(name, "the items have no texts")
    words, size = np.zeros(len(items)), np.zeros(len(items))
    for column in (items.texts, items.prompts):
        if column is not None:
            words += pc.fill_null(pc.count_substring_regex(column, r"\S+"), 0).to_numpy(zero_copy_only=False)
            size += pc.fill_null(pc.binary_length(column), 0).to_numpy(zero_copy_only=False)
    pieces = np.maximum(words * 4 / 3, size / 6)
    long = np.flatnonzero(pieces > LONGEST)
    long = long[np.argsort(-pieces[long], kind="stable")]
    n = len(long)
    return Check(
        name,
        "warning",
        n == 0,
        f"{n:,} of {len(items):,} texts (with their prompts) are probably longer than {LONGEST} word pieces: the "
        "default encoder does not read their ends."
        if n
        else f"All {len(items):,} texts (with their prompts) probably fit into {LONGEST} word pieces.",
        count=n,
        share=n / len(items) if len(items) else 0.0,
        samples=tuple({"text": item_label(items, int(i)), "pieces": int(pieces[i])} for i in long[:SHOWN]),
        fix="Embed with an encoder that reads longer texts; embed() counts exactly what it cuts off.",
        measures={"longest": float(pieces.max(initial=0))},
    )
