"""
Which statements speak for all? Rules on a Polis conversation
=============================================================

In a Polis conversation people agree, disagree or pass on short statements by others, and nobody sees all of them.
Which statements should be put at the top? That is a choice of a rule: the statement most people agree with, the one
that wins against the others, a committee of statements in which every group of people finds its share, or those on
which the groups agree. The rules are run on the same votes, and compared by what the groups that Polis found make of
their choice.

Data: the Computational Democracy Project, openData (CC BY 4.0). Run with ``python examples/polis_rules.py``; the data
folder is ``$PLURALISM_DATA``, or ``../shared/data`` beside the source tree; ``CONVERSATION`` names another.
"""

# %%
# Votes
# -----
# People may vote again on a statement: the last vote counts. Statements that moderators rejected are left out.
import os
import sys
import textwrap
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import pluralism as pl
from pluralism.social_choice import (
    ApprovalProfile,
    Profile,
    equal_shares,
    find_rule,
    polis_consensus,
    sequential_pav,
)

DATA = Path(os.environ.get("PLURALISM_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")) / "polis"
CONVERSATION = os.environ.get("CONVERSATION", "scoop-hivemind.biodiversity")
if not DATA.is_dir():
    print(f"This study needs {DATA}; set PLURALISM_DATA to the folder of the data sets.")
    sys.exit(0)


def of_conversation(name):
    table = pq.read_table(DATA / f"{name}.parquet")
    return table.filter(pc.equal(table["conversation"], CONVERSATION))


votes, comments, people = (of_conversation(name) for name in ("votes", "comments", "participants"))
kept = comments.filter(pc.greater_equal(comments["moderated"], 0))
votes = votes.filter(pc.is_in(votes["comment_id"], kept["comment_id"]))
last = {}
for row, key in enumerate(zip(votes["participant_id"].to_pylist(), votes["comment_id"].to_pylist(), strict=True)):
    last[key] = row
votes = votes.take(pa.array(sorted(last.values())))
group_of = dict(zip(people["participant_id"].to_pylist(), people["group_id"].to_pylist(), strict=True))
text_of = dict(zip(map(str, kept["comment_id"].to_pylist()), kept["text"].to_pylist(), strict=True))
known = [group_of.get(person) for person in votes["participant_id"].to_pylist()]
ratings = pl.Ratings.from_frame(
    pa.table(
        {
            "user": pc.cast(votes["participant_id"], pa.string()),
            "item": pc.cast(votes["comment_id"], pa.string()),
            "value": pc.cast(votes["vote"], pa.float64()),
            "group": pa.array([None if group is None else f"group {group}" for group in known]),
        }
    ),
    items=pl.Items(ids=sorted(text_of, key=int)),
)
print(f"{CONVERSATION}: {len(ratings.users):,} people, {len(ratings.items):,} statements, {len(ratings):,} votes")

# %%
# One statement
# -------------
# By approvals, a statement that few have seen cannot win. Pairwise rules compare two statements by those who voted on
# both, so that a few votes which all agree can win: look at how many there are.
approvals = ApprovalProfile.from_ratings(ratings)
ranked = Profile.from_ratings(ratings)
chosen = {"approval": find_rule("approval")(approvals).winners}
for name in ("borda", "copeland", "schulze", "split-cycle", "minimax", "maximal-lottery"):
    chosen[name] = find_rule(name)(ranked).winners

# %%
# Five statements
# ---------------
# The five with the most approvals may all be those of one large group. Proportional rules give every group its share.
most = np.argsort(-approvals.scores, kind="stable")[:5]
committees = {
    "five most approved": tuple(approvals.candidates[i] for i in sorted(most)),
    "sequential PAV": sequential_pav(approvals, seats=5).committees[0],
    "equal shares": equal_shares(approvals, seats=5).committees[0],
}

# %%
# What the groups agree on
# ------------------------
# Polis' group-informed consensus is the product over groups of the share that agrees.
consensus = polis_consensus(ratings)
committees["group-informed consensus"] = consensus.order[:5]


# %%
# Side by side
# ------------
def agreement(names):
    """For each group, the share of its votes on these statements that agree."""
    labels = np.array(ratings.groups.to_pylist())
    codes = [ratings.items.ids.to_pylist().index(name) for name in names]
    out = []
    for k in range(len(labels)):
        rows = np.isin(ratings.item, codes) & (ratings.group == k)
        out.append(float((ratings.value[rows] > 0).mean()) if rows.any() else float("nan"))
    return out


groups = ratings.groups.to_pylist()
seen = np.bincount(ratings.item, minlength=len(ratings.items))
place = {name: i for i, name in enumerate(ratings.items.ids.to_pylist())}
print(f"\n{'one statement':26s} {'winner':>9s} {'votes':>6s}   " + "  ".join(groups))
for name, winners in chosen.items():
    shares = "  ".join(f"{share:7.2f}" for share in agreement(winners))
    print(f"{name:26s} {', '.join(winners[:3]):>9s} {seen[place[winners[0]]]:6d}   {shares}")
print(f"\n{'five statements':26s} {'represented':>11s}   " + "  ".join(groups))
for name, committee in committees.items():
    covered = approvals.approves[:, approvals.index(committee)].any(axis=1)
    share = approvals.counts @ covered / approvals.counts[approvals.approves.any(axis=1)].sum()
    print(f"{name:26s} {share:11.2f}   " + "  ".join(f"{value:7.2f}" for value in agreement(committee)))
print()
for name in dict.fromkeys([winners[0] for winners in chosen.values()]):
    by = ", ".join(rule for rule, winners in chosen.items() if winners[0] == name)
    print(textwrap.fill(f"{name} ({by}): {text_of[name]}", 100, subsequent_indent="    "))
