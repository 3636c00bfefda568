"""Polis exports: real conversations in the format of the export, read back, against the published matrices."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from pluralism.data.polis import read_polis
from pluralism.data.ratings import Ratings
from pluralism.errors import DataError, DataWarning

VOTES = """timestamp,datetime,comment-id,voter-id,vote
2000,b,0,1,1
1000,a,0,1,-1
1500,x,1,1,0
1500,x,1,2,-1
1500,y,1,2,1
,,0,2,1
900,z,0,2,-1
"""
COMMENTS = "timestamp,datetime,comment-id,author-id,agrees,disagrees,moderated,comment-body\r\n"
COMMENTS += '1,a,1,0,1,0,-1,"Second, with\r\na line break"\r\n0,a,0,0,1,1,1,First\r\n'
MATRIX = """participant,group-id,n-comments,n-votes,n-agree,n-disagree,0,1
1,0,0,2,1,0,1,0
2,,0,2,1,1,-1,1
3,1,1,0,0,0,,
"""


def export(folder, **files):
    names = {"votes": "votes.csv", "comments": "comments.csv", "matrix": "participants-votes.csv"}
    for name, text in ({"votes": VOTES, "comments": COMMENTS, "matrix": MATRIX} | files).items():
        if text is not None:
            (folder / names[name]).write_bytes(text.encode())
    return folder


def cells(ratings: Ratings) -> dict[tuple[str, str], float]:
    users, items = ratings.users.to_pylist(), ratings.items.ids.to_pylist()
    return {(users[u], items[i]): float(v) for u, i, v in zip(ratings.user, ratings.item, ratings.value, strict=True)}


LAST = {("1", "0"): 1, ("1", "1"): 0, ("2", "1"): 1, ("2", "0"): -1}


def test_the_last_vote_counts_by_time_then_row(tmp_path):
    ratings = Ratings.from_polis(export(tmp_path))
    assert cells(ratings) == LAST
    assert ratings.items.texts.to_pylist() == ["Second, with\r\na line break", "First"]
    assert ratings.scale == {"rating": (-1, 1)}
    assert {int(t) for t in ratings.time.astype("datetime64[ms]").astype(int)} == {2000, 1500, 900}
    groups = [None if g < 0 else ratings.groups[int(g)].as_py() for g in ratings.group]
    assert dict(zip(ratings.users.take(ratings.user).to_pylist(), groups, strict=True)) == {"1": "0", "2": None}


def test_the_matrix_alone_gives_the_same_votes_without_times(tmp_path):
    ratings = read_polis(export(tmp_path, votes=None))
    assert cells(ratings) == LAST
    assert ratings.time is None
    assert ratings.groups.to_pylist() == ["0"]


def test_votes_alone_have_no_groups(tmp_path):
    ratings = read_polis(export(tmp_path, matrix=None))
    assert cells(ratings) == LAST
    assert ratings.group is None


def test_rejected_comments_are_left_out_on_request(tmp_path):
    ratings = read_polis(export(tmp_path), rejected=False)
    assert cells(ratings) == {key: vote for key, vote in LAST.items() if key[1] == "0"}


def test_files_may_have_a_prefix(tmp_path):
    export(tmp_path)
    for path in list(tmp_path.iterdir()):
        path.rename(tmp_path / f"2024-01-01-{path.name}")
    assert cells(read_polis(tmp_path)) == LAST
    (tmp_path / "other-votes.csv").write_text(VOTES)
    with pytest.raises(DataError, match=r"several files for votes\.csv"):
        read_polis(tmp_path)


ITEM = r"no item has[\s\S]*column 'comment-id' \(read as 'item'\), row 8 \(line 9 of the file\): '77'"
BODY = r"empty[\s\S]*comments\.csv, column 'comment-body' \(read as 'text'\), row 3 \(line 5"
FLIPPED = MATRIX.replace("1,0,1,0\n", "1,0,-1,0\n").replace("-1,1\n", "1,-1\n")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"votes": VOTES + "5,b,0,1,2\n"}, r"outside the scale[\s\S]*votes\.csv[\s\S]*row 8 \(line 9"),
        ({"votes": VOTES + "5,b,0,1,\n"}, r"votes\.csv, column 'vote' \(read as 'value'\), row 8 \(line 9"),
        ({"votes": VOTES + "5,b,77,1,1\n"}, ITEM),
        ({"votes": VOTES + "5,b,0,,1\n"}, r"votes\.csv, column 'voter-id' \(read as 'user'\), row 8"),
        ({"votes": VOTES.replace("vote\n", "ballot\n", 1)}, r"'vote' is missing"),
        ({"comments": COMMENTS + "3,a,3,0,0,0,0,\r\n"}, BODY),
        ({"comments": COMMENTS + "3,a,1,0,0,0,0,x\r\n"}, r"more than once[\s\S]*'comment-id' \(read as 'id'\), row 3"),
        ({"comments": None}, r"lacks comments\.csv"),
        ({"votes": None, "matrix": None}, r"both votes\.csv and participants-votes\.csv"),
        ({"matrix": FLIPPED}, r"opposite sign[\s\S]*multiply"),
    ],
)
def test_faults_name_file_row_and_column(tmp_path, files, said):
    with pytest.raises(DataError, match=said):
        read_polis(export(tmp_path, **files))


def test_bad_votes_are_left_out_on_request(tmp_path):
    with pytest.warns(DataWarning, match="left out 1 of 8"):
        assert cells(read_polis(export(tmp_path, votes=VOTES + "5,b,77,1,1\n"), strict=False)) == LAST


def test_votes_that_differ_from_the_matrix_are_warned_of(tmp_path):
    with pytest.warns(DataWarning, match="1 votes differ from those in votes.csv, and 1 are in only one"):
        read_polis(export(tmp_path, matrix=MATRIX.replace("-1,1\n", ",0\n")))
    with pytest.raises(DataError, match="no such directory"):
        read_polis(tmp_path / "none")


@pytest.mark.parametrize("conversation", ["15-per-hour-seattle", "vtaiwan.uberx", "scoop-hivemind.taxes"])
def test_counts_are_those_of_the_published_matrix(tmp_path, shared_data, conversation):
    import polars as pl

    folder = shared_data / "polis"
    here = pl.col("conversation") == conversation
    votes = pl.read_parquet(folder / "votes.parquet").filter(here)
    comments = pl.read_parquet(folder / "comments.parquet").filter(here)
    people = pl.read_parquet(folder / "participants.parquet").filter(here)
    votes.select(
        "timestamp",
        pl.from_epoch("timestamp", "ms").dt.to_string("%a %b %d %Y").alias("datetime"),
        pl.col("comment_id").alias("comment-id"),
        pl.col("participant_id").alias("voter-id"),
        "vote",
    ).write_csv(tmp_path / "votes.csv")
    with open(tmp_path / "comments.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COMMENTS.split("\r\n")[0].split(","))
        columns = ("timestamp", pl.lit(""), "comment_id", "author_id", "agrees", "disagrees", "moderated", "text")
        writer.writerows(comments.select(*columns).iter_rows())
    ratings = read_polis(tmp_path)
    assert len(ratings) == votes.unique(["comment_id", "participant_id"]).height
    agrees = np.bincount(ratings.user, weights=ratings.value == 1, minlength=ratings.n_users)
    disagrees = np.bincount(ratings.user, weights=ratings.value == -1, minlength=ratings.n_users)
    published = {str(row["participant_id"]): row for row in people.to_dicts()}
    # The matrix counts its own rows: each person's agrees and disagrees there are the last votes.
    totals = {name: sum(row[name] for row in people.to_dicts()) for name in ("n_agree", "n_disagree")}
    assert (agrees.sum(), disagrees.sum()) == (totals["n_agree"], totals["n_disagree"])
    labels = ratings.users.to_pylist()
    equal = [
        (published[user]["n_agree"], published[user]["n_disagree"]) == (a, d)
        for user, a, d in zip(labels, agrees, disagrees, strict=True)
        if user in published
    ]
    assert np.mean(equal) == 1
    texts = dict(zip(comments["comment_id"].cast(pl.String), comments["text"], strict=True))
    assert dict(zip(ratings.items.ids.to_pylist(), ratings.items.texts.to_pylist(), strict=True)) == texts

    # The wide matrix, made of the last votes, gives the same ratings, and its groups.
    wide = {name: [""] * ratings.n_users for name in ratings.items.ids.to_pylist()}
    for (user, item), vote in cells(ratings).items():
        wide[item][labels.index(user)] = str(int(vote))
    group = [published[user]["group_id"] if user in published else None for user in labels]
    head = ["participant", "group-id", "n-comments", "n-votes", "n-agree", "n-disagree", *wide]
    with open(tmp_path / "participants-votes.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        for k, user in enumerate(labels):
            writer.writerow([user, "" if group[k] is None else group[k], 0, 0, 0, 0, *(wide[name][k] for name in wide)])
    both = read_polis(tmp_path)
    assert cells(both) == cells(ratings)
    assert len(both.groups) == people["group_id"].drop_nulls().n_unique()
    (tmp_path / "votes.csv").unlink()
    assert cells(read_polis(tmp_path)) == cells(ratings)
