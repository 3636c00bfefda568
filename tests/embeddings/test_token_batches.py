"""Batches by token budget: everything once, within the budget, also when memory runs out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluralism.embeddings.vectors import RowsError


@given(lengths=st.lists(st.integers(1, 300), max_size=60), budget=st.integers(1, 2000))
def test_batches_hold_every_text_once_within_the_budget(lengths, budget):
    from pluralism.embeddings.token_batches import plan_batches

    batches = plan_batches(np.array(lengths, np.int64), budget)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[row] for row in batch) <= budget


@pytest.mark.parametrize("capacity", [200, 17])
def test_out_of_memory_goes_on_with_halves(capacity):
    import torch

    from pluralism.embeddings.token_batches import TokenBatches, run_batches

    ids = [[row] * (row % 17 + 1) for row in range(100)]
    tokens = TokenBatches(ids, np.array([len(row) for row in ids]), pad=0)

    def forward(batch, lengths):
        if batch.numel() > capacity:
            raise torch.OutOfMemoryError("out of memory")
        return batch[:, :1].numpy().astype(np.float32)

    found = {
        int(r): float(v[0])
        for rows, features in run_batches(forward, tokens, 2048)
        for r, v in zip(rows, features, strict=True)
    }
    assert found == {row: float(row) for row in range(100)}


def test_one_text_that_does_not_fit_is_named():
    import torch

    from pluralism.embeddings.token_batches import TokenBatches, run_batches

    tokens = TokenBatches([[1], [1] * 50, [1]], np.array([1, 50, 1]), pad=0)

    def forward(batch, lengths):
        if batch.shape[1] > 10:
            raise torch.OutOfMemoryError("out of memory")
        return np.ones((len(batch), 1), np.float32)

    with pytest.raises(RowsError, match="50 tokens") as caught:
        list(run_batches(forward, tokens, 100))
    assert caught.value.rows == (1,)
