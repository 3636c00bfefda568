import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pluralism.errors import UsageError
from pluralism.models import Membership


@pytest.fixture
def members():
    posterior = np.array([[0.95, 0.05], [0.5, 0.5], [0.0, 1.0]])
    return Membership(pa.array(["ann", "bob", "čert"], pa.large_string()), posterior, np.array([9, 0, 30]))


def test_labels_certainty_and_entropy(members):
    assert members.labels.tolist() == [0, 0, 1]
    assert members.certainty.tolist() == [0.95, 0.5, 1.0]
    np.testing.assert_allclose(members.entropy[1:], [np.log(2), 0.0])


def test_rows_by_user(members):
    np.testing.assert_array_equal(members.of(["čert", "ann"]), members.posterior[[2, 0]])
    assert members.index(pa.array(["nobody", "bob"])).tolist() == [-1, 1]
    with pytest.raises(UsageError, match="nobody"):
        members.of(["nobody"])


def test_frame_file_and_json_hold_the_same(members, tmp_path):
    members.write(tmp_path / "members.parquet")
    table = pq.read_table(tmp_path / "members.parquet")
    assert table.column_names == ["user", "n", "group_0", "group_1"]
    assert table.equals(members.to_frame())
    document = json.loads(members.to_json())
    assert document["users"] == ["ann", "bob", "čert"]
    assert document["posterior"] == members.posterior.tolist()
    assert "2 groups" in repr(members)
