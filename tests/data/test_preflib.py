"""PrefLib files: worked examples, faults by line, round trips, and agreement with preflibtools on real elections."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pluralism.data.items import Items
from pluralism.data.preflib import read_preflib, write_preflib
from pluralism.data.rankings import Rankings
from pluralism.errors import DataError

TOI = """# FILE NAME: 00001-00000001.toi
# TITLE: Lunch: what to eat
# DESCRIPTION:
# DATA TYPE: toi
# MODIFICATION TYPE: original
# RELATES TO:
# RELATED FILES:
# PUBLICATION DATE: 2013-08-17
# MODIFICATION DATE: 2022-09-16
# NUMBER ALTERNATIVES: 4
# NUMBER VOTERS: 9
# NUMBER UNIQUE ORDERS: 3
# ALTERNATIVE NAME 1: Pasta
# ALTERNATIVE NAME 2: K\u00e4se: 50 %
# ALTERNATIVE NAME 3: Soup
# ALTERNATIVE NAME 4: Soup
4: 2,{1,3},4
3: 4
2: {3,2}
"""
CAT = """# FILE NAME: a.cat
# DATA TYPE: cat
# NUMBER ALTERNATIVES: 3
# NUMBER VOTERS: 6
# NUMBER CATEGORIES: 2
# CATEGORY NAME 1: Yes
# CATEGORY NAME 2: No
# ALTERNATIVE NAME 1: A
# ALTERNATIVE NAME 2: B
# ALTERNATIVE NAME 3: C
3: {1,3},2
2: {},{1,2,3}
1: 1,{}
"""


def write(tmp_path, text: str, name: str = "x.toi"):
    (tmp_path / name).write_bytes(text.encode())
    return tmp_path / name


def test_ties_and_truncation(tmp_path):
    rankings = read_preflib(write(tmp_path, TOI))
    assert rankings.items.ids.to_pylist() == ["1", "2", "3", "4"]
    assert rankings.items.texts.to_pylist() == ["Pasta", "K\u00e4se: 50 %", "Soup", "Soup"]
    assert rankings.users.to_pylist() == ["1", "2", "3"]
    assert rankings.weight.tolist() == [4, 3, 2]
    assert rankings.indptr.tolist() == [0, 4, 5, 7]
    assert rankings.item.tolist() == [1, 0, 2, 3, 3, 2, 1]
    assert rankings.rank.tolist() == [0, 1, 1, 2, 0, 0, 0]
    assert rankings.metadata["TITLE"] == "Lunch: what to eat"
    assert rankings.levels is None
    assert Rankings.read(tmp_path / "x.toi").to_lists() == rankings.to_lists()
    data = rankings.to_comparisons()
    assert data.weight.sum() == 4 * 6 + 2


def test_categories_keep_their_empty_levels(tmp_path):
    rankings = read_preflib(write(tmp_path, CAT, "a.cat"))
    assert rankings.levels == ("Yes", "No")
    assert rankings.rank.tolist() == [0, 0, 1, 1, 1, 1, 0]
    assert rankings.item.tolist() == [0, 2, 1, 0, 1, 2, 0]
    write_preflib(rankings, tmp_path / "b.cat")
    again = read_preflib(tmp_path / "b.cat")
    assert again.rank.tolist() == rankings.rank.tolist()
    assert again.levels == rankings.levels
    rankings.write(tmp_path / "long.parquet")
    assert Rankings.read(tmp_path / "long.parquet").rank.tolist() == rankings.rank.tolist()
    assert Rankings.read(tmp_path / "long.parquet").levels == rankings.levels


def test_what_is_written_is_what_was_read(tmp_path):
    write_preflib(read_preflib(write(tmp_path, TOI)), tmp_path / "00001-00000001.toi")
    written = (tmp_path / "00001-00000001.toi").read_text(encoding="utf-8")
    assert sorted(line.rstrip() for line in written.splitlines()) == sorted(line.rstrip() for line in TOI.splitlines())


def test_line_ends_and_byte_order_marks(tmp_path):
    plain = read_preflib(write(tmp_path, TOI))
    other = read_preflib(write(tmp_path, "\ufeff" + TOI.replace("\n", "\r\n") + "\r\n"))
    assert other.to_lists() == plain.to_lists()
    assert other.items.equals(plain.items)
    assert other.metadata == plain.metadata


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("3: 4\n", "3; 4\n", r"no ballot[\s\S]*line 18"),
        ("3: 4\n", "3: 4,\n", r"Not understood: '4,'[\s\S]*line 18"),
        ("3: 4\n", "3: {4,1\n", r"Not understood[\s\S]*line 18"),
        ("3: 4\n", "3: 4 1\n", r"Not understood[\s\S]*line 18"),
        ("3: 4\n", "-3: 4\n", r"no ballot[\s\S]*line 18"),
        ("3: 4\n", "3: 5\n", r"no alternative 5[\s\S]*line 18"),
        ("3: 4\n", "3: 4,2,4\n", r"twice[\s\S]*line 18"),
        ("3: 4\n", "3:\n", r"ranks nothing[\s\S]*line 18"),
        ("3: 4\n", "3: 4,{}\n", r"empty tie[\s\S]*line 18"),
        ("3: 4\n", "", "NUMBER VOTERS 9, but there are 6"),
        ("# ALTERNATIVE NAME 4: Soup\n", "", r"no alternative 4"),
        ("ALTERNATIVES: 4", "ALTERNATIVES: 5", "NUMBER ALTERNATIVES 5, but there are 4"),
        ("# TITLE: Lunch: what to eat", "# TITLE", r"no colon[\s\S]*line 2"),
        ("NAME 2", "NAME 1", r"given twice[\s\S]*line 14"),
        ("# DATA TYPE: toi", "# DATA TYPE: soc", "says DATA TYPE 'soc', the file name says 'toi'"),
    ],
)
def test_faults_name_their_line(tmp_path, old, new, said):
    with pytest.raises(DataError, match=said):
        read_preflib(write(tmp_path, TOI.replace(old, new, 1)))


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("x.soc", "1: 1,2,{3,4}\n", r"tie in a file of strict orders[\s\S]*line 14"),
        ("x.soi", "1: {1,2}\n", r"tie in a file of strict orders[\s\S]*line 14"),
        ("x.soc", "1: 1,2\n", r"2 of 4 alternatives[\s\S]*line 14"),
        ("x.toc", "1: {1,2}\n", r"2 of 4 alternatives[\s\S]*line 14"),
    ],
)
def test_ballots_must_fit_the_type(tmp_path, name, body, said):
    lines = [line for line in TOI.splitlines() if line.startswith("#") and "NUMBER" not in line and "DATA" not in line]
    text = "\n".join([*lines, *["#  NOTE: x"] * (13 - len(lines))]) + "\n" + body
    with pytest.raises(DataError, match=said):
        read_preflib(write(tmp_path, text, name))


def test_wrong_number_of_categories(tmp_path):
    with pytest.raises(DataError, match=r"3 categories instead of 2[\s\S]*line 12"):
        read_preflib(write(tmp_path, CAT.replace("2: {},{1,2,3}", "2: 1,2,3"), "a.cat"))


def test_other_files_are_refused(tmp_path):
    for name, text, said in (
        ("x.wmd", TOI, "not rankings"),
        ("x.soc", "4\n1,Pasta\n", "before 2022"),
        ("x.toi", "", "before 2022"),
    ):
        with pytest.raises(DataError, match=said):
            read_preflib(write(tmp_path, text, name))
    with pytest.raises(DataError, match="no such file"):
        read_preflib(tmp_path / "none.soc")
    (tmp_path / "latin.soc").write_bytes(b"# ALTERNATIVE NAME 1: K\xe4se\n")
    with pytest.raises(DataError, match="cannot be read"):
        read_preflib(tmp_path / "latin.soc")


@pytest.mark.parametrize(
    ("lists", "weight", "name", "said"),
    [
        ([["a", "b"]], [1], "x.cat", "named levels"),
        ([["a", ["b", "c"]]], [1], "x.soc", "have ties"),
        ([["a", "b"], ["c", "a", "b"]], [1, 1], "x.soc", "do not rank all items"),
        ([["a", "b"]], [0.5], "x.soc", "weight 0.5, not a count"),
        ([["a", "b"]], [1], "x.txt", "no PrefLib type"),
        ([["a\nb", "b"]], [1], "x.soc", "line break"),
        ([["a ", "b"]], [1], "x.soc", "space"),
    ],
)
def test_what_does_not_fit_is_not_written(tmp_path, lists, weight, name, said):
    with pytest.raises(DataError, match=said):
        write_preflib(Rankings.from_lists(lists, weight=weight), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_equal_ballots_become_one_line(tmp_path):
    rankings = Rankings.from_lists([["a", "b"], ["b", "a"], ["a", "b"]], weight=[1, 2, 3])
    rankings.write(tmp_path / "x.soc")
    again = Rankings.read(tmp_path / "x.soc")
    assert again.to_lists() == [[["a"], ["b"]], [["b"], ["a"]]]
    assert again.weight.tolist() == [4, 2]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), min_size=1).filter(
            lambda name: name == name.strip()
        ),
        min_size=3,
        max_size=3,
    ),
    orders=st.lists(st.permutations([0, 1, 2]), min_size=1, max_size=6, unique_by=tuple),
)
def test_any_names_come_back(tmp_path, names, orders):
    n = len(orders)
    rankings = Rankings(
        Items(["1", "2", "3"], texts=names),
        [str(k + 1) for k in range(n)],
        np.arange(n),
        np.arange(n + 1) * 3,
        np.ravel(orders),
        np.tile([0, 1, 2], n),
        weight=np.arange(n, 0, -1),
    )
    write_preflib(rankings, tmp_path / "x.soc")
    again = read_preflib(tmp_path / "x.soc")
    assert again.items.texts.to_pylist() == names
    assert again.item.tolist() == rankings.item.tolist()
    assert again.weight.tolist() == rankings.weight.tolist()


@pytest.fixture(scope="module")
def elections(shared_data):
    """Real elections as rankings: small ones of every type."""
    import polars as pl

    folder = shared_data / "preflib"
    about = pl.read_parquet(folder / "elections.parquet").filter(pl.col("n_unique") <= 600)
    alternatives = pl.read_parquet(folder / "alternatives.parquet").sort("election_id", "alt_id")
    ballots = pl.read_parquet(folder / "ballots.parquet")
    made = []
    for row in about.sort("n_unique", descending=True).group_by("data_type", maintain_order=True).head(4).to_dicts():
        names = alternatives.filter(pl.col("election_id") == row["election_id"])
        mine = ballots.filter(pl.col("election_id") == row["election_id"]).sort("ballot")
        entries = [
            (item - 1, rank) for ties in mine["ranking"].to_list() for rank, tie in enumerate(ties) for item in tie
        ]
        sizes = [sum(map(len, ties)) for ties in mine["ranking"].to_list()]
        rankings = Rankings(
            Items(names["alt_id"].to_list(), texts=names["name"].to_list()),
            [str(k + 1) for k in range(len(mine))],
            np.arange(len(mine)),
            np.concatenate([[0], np.cumsum(sizes)]),
            [item for item, _ in entries],
            [rank for _, rank in entries],
            weight=mine["count"].to_numpy(),
            levels=row["categories"] if row["data_type"] == "cat" else None,
        )
        made.append((row, rankings))
    return made


def test_real_elections_come_back_and_preflibtools_reads_them_alike(tmp_path, elections):
    instances = pytest.importorskip("preflibtools.instances")
    assert {row["data_type"] for row, _ in elections} == {"soc", "soi", "toc", "toi", "cat"}
    for row, rankings in elections:
        path = tmp_path / f"{row['election_id'].rsplit('.', 1)[0]}.{row['data_type']}"
        write_preflib(rankings, path)
        again = read_preflib(path)
        assert again.items.equals(rankings.items)
        assert again.levels == rankings.levels
        assert ballots_of(again) == ballots_of(rankings)
        assert again.weight.sum() == row["n_voters"]

        is_cat = row["data_type"] == "cat"
        theirs = (instances.CategoricalInstance if is_cat else instances.OrdinalInstance)(str(path))
        assert theirs.num_voters == row["n_voters"]
        assert list(theirs.alternatives_name.values()) == rankings.items.texts.to_pylist()
        orders = theirs.preferences if is_cat else theirs.orders
        counted = {tuple(tuple(sorted(tie)) for tie in order): theirs.multiplicity[order] for order in orders}
        assert counted == ballots_of(rankings)
        if is_cat:
            assert list(theirs.categories_name.values()) == list(rankings.levels)

        copy = tmp_path / f"theirs.{row['data_type']}"
        theirs.write(str(copy))
        assert ballots_of(read_preflib(copy)) == ballots_of(rankings)


def ballots_of(rankings: Rankings) -> dict[tuple, float]:
    """Counts of the distinct ballots, as tuples of tie groups of the numbers of alternatives."""
    counts: dict[tuple, float] = {}
    for ballot in range(len(rankings)):
        entries = slice(rankings.indptr[ballot], rankings.indptr[ballot + 1])
        n_ties = len(rankings.levels) if rankings.levels else int(rankings.rank[entries].max()) + 1
        ties: list[list[int]] = [[] for _ in range(n_ties)]
        for item, rank in zip(rankings.item[entries], rankings.rank[entries], strict=True):
            ties[rank].append(int(item) + 1)
        key = tuple(tuple(sorted(tie)) for tie in ties)
        counts[key] = counts.get(key, 0) + rankings.weight[ballot]
    return counts
