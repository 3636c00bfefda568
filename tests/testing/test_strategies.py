from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings

from pluralism.data import Comparisons
from pluralism.data.graph import components, strong_components, win_edges
from pluralism.errors import UsageError
from pluralism.testing.strategies import comparisons, labels


def parts(data: Comparisons) -> int:
    return len(np.unique(components(data.left, data.right, data.n_items)))


def strong_parts(data: Comparisons) -> int:
    return len(np.unique(strong_components(*win_edges(data.left, data.right, data.outcome), data.n_items)))


@given(comparisons(connected=True))
@settings(max_examples=40)
def test_connected(data: Comparisons) -> None:
    assert parts(data) == 1


@given(comparisons(connected=False))
@settings(max_examples=40)
def test_falling_apart(data: Comparisons) -> None:
    assert parts(data) >= 2


@given(comparisons(separable=False))
@settings(max_examples=40)
def test_every_item_beats_every_other_by_way_of_others(data: Comparisons) -> None:
    assert strong_parts(data) == 1


@given(comparisons(separable=True, connected=True))
@settings(max_examples=40)
def test_outcomes_of_one_order(data: Comparisons) -> None:
    assert parts(data) == 1
    assert strong_parts(data) == data.n_items
    assert not (data.outcome == 0.5).any()


@given(comparisons(weighted=True, dim=3, ties=False, unicode=True, min_items=3, max_items=5, max_users=3))
@settings(max_examples=40)
def test_sizes_weights_features_and_names(data: Comparisons) -> None:
    assert 3 <= data.n_items <= 5
    assert 1 <= data.n_users <= 3
    assert data.dim == 3
    assert (data.weight > 0).any()
    assert set(data.outcome) <= {0.0, 1.0}
    again = Comparisons(**vars(data))
    assert again.users.to_pylist() == data.users.to_pylist()


@given(labels(min_size=2, max_size=4))
@settings(max_examples=40)
def test_labels_are_distinct_and_survive(names: list[str]) -> None:
    assert len(set(names)) == len(names)
    data = Comparisons.from_arrays([0], [1], user=[0], users=names)
    assert data.users.to_pylist() == names


def test_contradicting_wishes_are_refused() -> None:
    with pytest.raises(UsageError, match="two parts"):
        comparisons(connected=False, separable=False)
    with pytest.raises(UsageError, match="exclude"):
        comparisons(connected=False, max_items=3)


def test_the_room_is_there_without_hypothesis() -> None:
    code = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "import pluralism.testing, pluralism.testing.strategies as s\n"
        "from pluralism.errors import MissingExtraError\n"
        "try:\n    s.labels()\nexcept MissingExtraError as e:\n    print(e.fix)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "Run: pip install hypothesis"
