"""Embedding from the containers: each text once, in the order of the items, prompts included."""

from __future__ import annotations

import numpy as np
import pytest

from pluralism.data.comparisons import Comparisons
from pluralism.data.items import Items
from pluralism.data.rankings import Rankings
from pluralism.data.ratings import Ratings
from pluralism.embeddings import embed
from pluralism.errors import UsageError


def test_every_container_embeds_its_items(tmp_path):
    items = Items.from_texts(["one two", "three", "four five"], ids=list("abc"), prompts=["p", None, "q"])
    features, space = embed(["p\n\none two", "three", "q\n\nfour five"], "hash:32")
    containers = (
        items.embed("hash:32"),
        Comparisons.from_arrays([0], [1], items=items).embed("hash:32", cache=tmp_path).items,
        Ratings(items, ["u"], [0], [1], [3]).embed("hash:32").items,
        Rankings.from_lists([["a", "b"]], items=items).embed("hash:32").items,
    )
    for embedded in containers:
        assert np.array_equal(embedded.features, features)
        assert embedded.feature_space == space
        assert embedded.ids.equals(items.ids)


def test_an_encoder_reads_each_text_once():
    seen: list[str] = []

    def encoder(texts):
        seen.extend(texts)
        return np.array([[len(text), 1.0] for text in texts], dtype=np.float32)

    data = Comparisons.from_frame(
        {"user": [1, 2, 3], "left": ["a", "bb", "a"], "right": ["bb", "a", "ccc"], "outcome": [1, 0, 1]}
    )
    embedded = data.embed(encoder)
    assert sorted(seen) == ["a", "bb", "ccc"]
    assert embedded.items.features[:, 0].tolist() == [1, 2, 3]
    assert embedded.take([0]).compact().items.features[:, 0].tolist() == [1, 2]


def test_items_without_texts_cannot_be_embedded():
    with pytest.raises(UsageError, match="no texts"):
        Comparisons.from_arrays([0], [1]).embed("hash:32")
