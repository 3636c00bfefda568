"""Real comparisons of arguments: counts that their publishers state, through every reader."""

from __future__ import annotations

import numpy as np
import pytest

from pluralism.data.comparisons import Comparisons
from pluralism.data.items import Items
from pluralism.errors import DataWarning, UsageError

WORDS = {"a1": "left", "a2": "right", "equal": "tie"}


@pytest.fixture(scope="module")
def votes(shared_data):
    """Judgements with the ids of both arguments, and the arguments."""
    import polars as pl

    folder = shared_data / "ukp_convarg"
    pairs = pl.read_parquet(folder / "pairs.parquet").select("topic", "pair_id", "arg_a", "arg_b")
    key = pl.concat_str("topic", pl.lit("/"), "arg")
    rows = pl.read_parquet(folder / "comparisons.parquet").join(pairs, on="pair_id", maintain_order="left")
    arguments = pl.read_parquet(folder / "arguments.parquet").rename({"arg_id": "arg"}).with_columns(id=key)
    return rows.with_columns(
        left=pl.concat_str("topic", pl.lit("/"), "arg_a"),
        right=pl.concat_str("topic", pl.lit("/"), "arg_b"),
        outcome=pl.col("choice").replace(WORDS),
    ), arguments


def test_counts_and_times(votes):
    rows, arguments = votes
    items = Items.from_frame(arguments.select("id", "text", prompt="topic"))
    names = {"user": "user_id", "group": "worker_stance", "time": "submitted"}
    data = Comparisons.from_frame(rows, items=items, columns=names)
    assert (len(data), data.n_users, data.n_items) == (63_314, 3_768, 789)
    assert int((data.outcome == 0.5).sum()) == rows.filter(choice="equal").height
    assert data.time.dtype.kind == "M"
    assert np.array_equal(data.group == -1, rows["worker_stance"].is_null().to_numpy())
    prompts = items.prompt_codes()
    assert (prompts[data.left] == prompts[data.right]).all()
    assert prompts.max() + 1 == arguments["topic"].n_unique()


@pytest.mark.parametrize("suffix", [".parquet", ".csv.gz", ".jsonl"])
def test_files_of_texts_come_back(tmp_path, votes, suffix):
    rows, arguments = votes
    items = Items.from_frame(arguments.select("id", "text", prompt="topic"))
    data = Comparisons.from_frame(rows.sample(3000, seed=0), items=items, columns={"user": "user_id"})
    # Some arguments were entered twice under two ids, and even compared with each other.
    with pytest.raises(UsageError, match=r"items have the text of another item[\s\S]*as_ids=True"):
        data.write(tmp_path / f"texts{suffix}")
    data.write(tmp_path / f"ids{suffix}", as_ids=True)
    items.write(tmp_path / f"items{suffix}")
    assert Comparisons.read(tmp_path / f"ids{suffix}", items=tmp_path / f"items{suffix}").equals(data)

    unique = arguments.unique("text", keep="none", maintain_order=True)
    items = Items.from_frame(unique.select("id", "text", prompt="topic"))
    with pytest.warns(DataWarning, match="Column 'left' has ids that no item has"):
        data = Comparisons.from_frame(rows.sample(4000, seed=0), items=items, columns={"user": "user_id"}, strict=False)
    data.write(tmp_path / f"texts{suffix}")
    again = Comparisons.read(tmp_path / f"texts{suffix}")
    texts = items.texts.take(data.left).to_pylist()
    assert again.items.texts.take(again.left).to_pylist() == texts
    assert np.array_equal(again.outcome, data.outcome)
    assert again.users.take(again.user).equals(data.users.take(data.user))
    assert again.n_items == len({(items.prompts[int(i)].as_py(), items.texts[int(i)].as_py())
                                 for i in np.union1d(data.left, data.right)})  # fmt: skip
