"""Tables of candidates: the reference is read whole or refused."""

from __future__ import annotations

import numpy as np
import pytest

from pluralism.data.candidates import read_candidates
from pluralism.errors import DataError


def test_probabilities_come_back_as_logarithms(tmp_path):
    path = tmp_path / "candidates.csv"
    path.write_text("name,text,prompt,reference,length\na,one,p,0.25,3\nb,two,p,0,3\n", encoding="utf-8")
    items, log_reference = read_candidates(path, columns={"id": "name"})
    assert items.ids.to_pylist() == ["a", "b"] and items.prompts.to_pylist() == ["p", "p"]
    assert list(items.covariates) == ["length"]
    np.testing.assert_array_equal(log_reference, [np.log(0.25), -np.inf])
    path.write_text("id,text,log_reference\na,one,-3.5\nb,two,2\n", encoding="utf-8")
    np.testing.assert_array_equal(read_candidates(path)[1], [-3.5, 2.0])
    path.write_text("id,text\na,one\n", encoding="utf-8")
    assert read_candidates(path)[1] is None


def test_ids_alone_need_features_of_their_own(tmp_path):
    path = tmp_path / "candidates.csv"
    path.write_text("id\na\nb\n", encoding="utf-8")
    with pytest.raises(DataError, match="id and text"):
        read_candidates(path)
    np.save(tmp_path / "features.npy", np.eye(2))
    items, _ = read_candidates(path, features=tmp_path / "features.npy")
    np.testing.assert_array_equal(items.features, np.eye(2))
