"""Files: formats, dirt, exact line numbers, and byte-equal round trips."""

from __future__ import annotations

import gzip
import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pluralism.data.comparisons import Comparisons
from pluralism.data.files_io import read_source, write_table
from pluralism.data.items import Items
from pluralism.errors import DataError

SUFFIXES = (".parquet", ".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".arrow", ".feather")
NASTY = [
    "\u00e9",  # NFC
    "e\u0301",  # NFD
    "\u202eevil\u202c",  # right-to-left override
    "\u05e9\u05dc\u05d5\u05dd",
    "zero\u200bwidth\ufeff",
    "nul\x00nul",
    "\U0001f469\u200d\U0001f680\U0001f3fd",  # joined emoji
    'quo"te',
    "comma, semicolon; tab\t",
    "line\nbreak",
    "carriage\rreturn\r\nboth",
    "a\u2028\u2029\x85\x0b\x0c\x1c",
    " lead and trail ",
    "NaN",
    "null",
    "007",
    "1e5",
    "2020-01-01 00:00:00",
    "=HYPERLINK(1)",
    "\\n \\ud83d",
    "\x02end of file\x02",
    "\U0010ffff\ud7ff",
    "x" * 200_000,
]


def table_of(data: Comparisons) -> dict:
    return data.to_arrow().to_pydict()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nasty_texts_come_back_byte_for_byte(tmp_path, suffix):
    n = len(NASTY)
    data = Comparisons.from_frame(
        {
            "user": NASTY,
            "prompt": [None, *NASTY[1:]],
            "left": NASTY,
            "right": [*NASTY[1:], NASTY[0]],
            "outcome": np.linspace(0, 1, n),
            "weight": np.geomspace(1e-300, 1e300, n),
            "group": [*NASTY[:-1], None],
            "time": [None, *np.geomspace(1e-9, 1e18, n - 1)],
            "source": NASTY,
            "strength": [*np.linspace(0, math.pi, n - 1), None],
            "left.first": np.arange(n) / 3,
        }
    )
    path = tmp_path / f"data{suffix}"
    data.write(path)
    again = Comparisons.read(path)
    assert again.equals(data)
    assert [w.encode() for w in table_of(again)["left"]] == [w.encode() for w in NASTY]
    assert [w.encode() for w in again.users.to_pylist()] == [w.encode() for w in NASTY]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(
            st.text(min_size=1),
            st.none() | st.text(),
            st.text(min_size=1).filter(str.strip),
            st.text(min_size=1).filter(str.strip),
            st.floats(0, 1),
        ).filter(lambda row: row[2] != row[3]),
        min_size=1,
        max_size=6,
    ),
    suffix=st.sampled_from([".parquet", ".csv", ".jsonl"]),
)
def test_any_texts_come_back_byte_for_byte(tmp_path, rows, suffix):
    columns = dict(zip(("user", "prompt", "left", "right", "outcome"), map(list, zip(*rows, strict=True)), strict=True))
    data = Comparisons.from_frame(columns)
    data.write(tmp_path / f"data{suffix}")
    again = Comparisons.read(tmp_path / f"data{suffix}")
    assert again.equals(data)
    assert table_of(again)["left"] == columns["left"]
    assert table_of(again)["user"] == columns["user"]
    assert table_of(again).get("prompt", [None] * len(rows)) == [prompt or None for prompt in columns["prompt"]]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_datetimes_come_back(tmp_path, suffix):
    stamps = np.array(["2020-02-29T12:00:00.123456", "NaT", "1969-12-31T23:59:59"], dtype="datetime64[us]")
    data = Comparisons.from_arrays(["a", "b", "c"], ["b", "c", "a"], user=["u"] * 3, time=stamps)
    data.write(tmp_path / f"data{suffix}")
    assert np.array_equal(Comparisons.read(tmp_path / f"data{suffix}").time, stamps, equal_nan=True)


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_typed_files_remember_origin_and_ids(tmp_path, suffix):
    data = Comparisons.from_arrays([0, 2], [2, 1], user=["u", "v"], origin="rankings")
    data.write(tmp_path / f"data{suffix}")
    again = Comparisons.read(tmp_path / f"data{suffix}")
    assert again.origin == "rankings"
    assert again.items.texts is None
    assert again.items.ids.to_pylist() == ["0", "2", "1"]


def test_items_come_back(tmp_path):
    items = Items.from_texts(NASTY, ids=range(len(NASTY)), prompts=[None, *NASTY[1:]], covariates={"n": NASTY_NUMBERS})
    for suffix in (".parquet", ".csv", ".jsonl"):
        items.write(tmp_path / f"items{suffix}")
        assert Items.read(tmp_path / f"items{suffix}").equals(items)


NASTY_NUMBERS = np.linspace(-1, 1, len(NASTY)) / 3


def csv(tmp_path, content: bytes | str, name: str = "votes.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [
        b"user,left,right,outcome\nu,a,b,1\n",
        b"\xef\xbb\xbfuser,left,right,outcome\r\nu,a,b,1\r\n",
        b"user,left,right,outcome\ru,a,b,1",
        b'"user","left","right","outcome"\n"u","a","b","1"\n\n\n',
        b" user , left,right , outcome\nu,a,b, 1 \n",
        b"\n\nuser,left,right,outcome\n\nu,a,b,1.0e0\n",
        b"outcome,extra,right,left,user\n1,,b,a,u\n",
    ],
)
def test_csv_dialects_are_read_alike(tmp_path, content):
    expected = Comparisons.from_frame({"user": ["u"], "left": ["a"], "right": ["b"], "outcome": [1]})
    assert Comparisons.read(csv(tmp_path, content)).equals(expected)


def test_cells_of_csv_stay_texts(tmp_path):
    content = 'user,left,right,outcome\n007,NA,"1,5",1\n7,"say ""hi""\r\n\nthere",5" pipe,0\n'
    data = table_of(Comparisons.read(csv(tmp_path, content)))
    assert data["user"] == ["007", "7"]
    assert data["left"] == ["NA", 'say "hi"\r\n\nthere']
    assert data["right"] == ["1,5", '5" pipe']


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"user;left;right;outcome\nu;a;b;1\n", "not separated by commas"),
        ("user,left,right,outcome\nu,a,b,1\n".encode("utf-16"), "UTF-16"),
        (b"user,left,right,outcome\nu,a,\xff\xfe,1\n", r"not UTF-8[\s\S]*line 2"),
        (b"user,left,left,outcome\nu,a,b,1\n", "'left' occurs more than once"),
        (b"user,left,right,outcome\nu,a,b,1\nu,a,b\nu,a,b,c,1\n", r"2 rows do[\s\S]*has 3[\s\S]*row 2 \(line 3 "),
        (b'user,left,right,outcome\n\nu,"a\n\n",b,1\nu,a,b\n', r"1 row does[\s\S]*row 2 \(line 6 "),
        (b'user,left,right,outcome\nu,a,b,1\nu,"a,b,1\nu,a,b,0\n', r"never closed[\s\S]*row 2 \(line 3 "),
    ],
)
def test_broken_csv_is_refused_with_its_line(tmp_path, content, said):
    with pytest.raises(DataError, match=said):
        Comparisons.read(csv(tmp_path, content))


def test_rows_and_lines_are_both_named(tmp_path):
    content = '\ufeffuser,left,right,outcome\r\n\r\nu,"a\r\nb",c,1\r\nu,x,"y\n",7\r\nu,5" x,y,8\r\nu,p,q,9\r\n'
    with pytest.raises(DataError) as caught:
        Comparisons.read(csv(tmp_path, content))
    assert "column 'outcome', rows 2, 3, 4 (lines 5, 7, 8 of the file)" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"user": "u"', r"not valid JSON[\s\S]*line 1"),
        ('{"user": "u"}\n\n[1]\n', r"holds a list[\s\S]*line 3"),
        ("", "empty"),
        (b'{"user": "\xff"}', r"not UTF-8[\s\S]*line 1"),
        ("[" * 100_000, r"not valid JSON"),
    ],
)
def test_broken_jsonl_is_refused_with_its_line(tmp_path, content, said):
    with pytest.raises(DataError, match=said):
        Comparisons.read(csv(tmp_path, content, "votes.jsonl"))


def test_jsonl_keeps_types_and_lines(tmp_path):
    rows = [
        {"user": 1, "left": "2020-01-01", "right": "b", "outcome": 1},
        {"outcome": 0.5, "right": "b", "left": "c", "user": 2, "weight": 3},
    ]
    content = "\ufeff" + "\n\n".join(json.dumps(row) for row in rows)
    with pytest.raises(DataError, match=r"'weight'[\s\S]*row 1 \(line 1 of"):
        Comparisons.read(csv(tmp_path, content, "votes.jsonl"))
    rows[0]["weight"] = 2
    content = "\n\n".join(json.dumps(row) for row in rows) + "\n"
    data = Comparisons.read(csv(tmp_path, content, "votes.ndjson"))
    assert table_of(data)["left"] == ["2020-01-01", "c"]
    assert data.users.to_pylist() == ["1", "2"]
    rows[1]["user"] = "1"
    with pytest.raises(DataError, match="both the number 1 and the string '1'"):
        Comparisons.read(csv(tmp_path, "\n".join(json.dumps(row) for row in rows), "votes.jsonl"))


def test_lone_surrogates_of_json_are_refused_with_their_row(tmp_path):
    row = '{"user": "u", "left": "%s", "right": "b", "outcome": 1}'
    content = row % "fine" + "\n" + row % "\\ud83d"
    with pytest.raises(DataError, match=r"lone surrogate[\s\S]*column 'left', row 2 \(line 2"):
        Comparisons.read(csv(tmp_path, content, "votes.jsonl"))


def test_parquet_is_read_whatever_the_folder_is_called(tmp_path):
    folder = tmp_path / "user=7"
    folder.mkdir()
    data = Comparisons.from_arrays(["a"], ["b"], user=["u"])
    data.write(folder / "votes.parquet")
    assert Comparisons.read(folder / "votes.parquet").users.to_pylist() == ["u"]


def test_invalid_utf8_in_parquet_is_refused_with_its_row(tmp_path):
    raw = pa.array([b"fine", b"\xff\xfe"], pa.binary())
    strings = pa.StringArray.from_buffers(2, raw.buffers()[1], raw.buffers()[2])
    table = pa.table({"user": ["u", "u"], "left": strings, "right": ["b", "b"], "outcome": [1, 1]})
    pa.parquet.write_table(table, tmp_path / "votes.parquet")
    with pytest.raises(DataError, match=r"not valid Unicode[\s\S]*column 'left', row 2"):
        Comparisons.read(tmp_path / "votes.parquet")


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".csv.gz", ".jsonl.gz"])
def test_files_of_another_kind_are_refused(tmp_path, suffix):
    path = tmp_path / f"votes{suffix}"
    for content in (b"", b"not of this kind", gzip.compress(b"{}")[:10]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"cannot be read|empty"):
            Comparisons.read(path)


@pytest.mark.parametrize("name", ["votes.xlsx", "votes", "votes.parquet.gz", ".csv"])
def test_unknown_suffixes_are_refused(tmp_path, name):
    with pytest.raises(DataError, match="not understood"):
        Comparisons.read(csv(tmp_path, b"x", name))
    with pytest.raises(DataError, match="not understood"):
        Comparisons.from_arrays(["a"], ["b"]).write(tmp_path / name)


def test_missing_files_and_directories_are_refused(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        Comparisons.read(tmp_path / "none.parquet")
    (tmp_path / "folder.parquet").mkdir()
    with pytest.raises(DataError, match="directory"):
        Comparisons.read(tmp_path / "folder.parquet")


def test_arrow_streams_are_read(tmp_path):
    table = Comparisons.from_arrays(["a"], ["b"], user=["u"]).to_arrow()
    with pa.OSFile(str(tmp_path / "s.arrow"), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)
    assert len(Comparisons.read(tmp_path / "s.arrow")) == 1


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "votes.csv"
    path.write_text("old")
    with pytest.raises(pa.ArrowException):
        write_table(pa.table({"lists": [[1, 2]]}), path)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["votes.csv"]


def test_header_only_means_no_rows(tmp_path):
    assert len(Comparisons.read(csv(tmp_path, b"user,left,right,outcome\n"))) == 0
    assert read_source(csv(tmp_path, b"a\tb\n1\t2\n", "t.tsv")).n_rows == 1


def test_tabs_survive_a_round_trip(tmp_path):
    data = Comparisons.from_arrays(["a\tb", 'c "d"'], ["e\nf", "g"], user=["x", "y"], outcome=[1.0, 0.5])
    data.write(tmp_path / "data.tsv")
    back = Comparisons.read(tmp_path / "data.tsv")
    assert back.items.texts.to_pylist() == data.items.texts.to_pylist()
    np.testing.assert_array_equal(back.outcome, data.outcome)
