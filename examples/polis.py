"""
A Polis conversation: votes as ratings, and the groups behind them
==================================================================

In a Polis conversation people agree, disagree or pass on short statements by others. A vote is a rating; two votes of
one person on different statements are a comparison. A fifth of each person's votes is held out before any pair is
made, so no vote is on both sides. Are there groups that vote alike, do they predict held-out votes better than one
ranking of the statements for everybody, and are they the groups that Polis published?

Data: the Computational Democracy Project, openData (CC BY 4.0). Run with ``python examples/polis.py``; the data folder
is ``$PLURALISM_DATA``, or ``../shared/data`` beside the source tree; ``CONVERSATION`` names another conversation.
"""

# %%
# Votes
# -----
# People may vote again on a statement: the last vote counts. Passes say little and are left out.
import os
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sklearn.metrics import adjusted_rand_score

import pluralism as pl

DATA = Path(os.environ.get("PLURALISM_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")) / "polis"
CONVERSATION = os.environ.get("CONVERSATION", "scoop-hivemind.biodiversity")
if not DATA.is_dir():
    print(f"This study needs {DATA}; set PLURALISM_DATA to the folder of the data sets.")
    sys.exit(0)


def of_conversation(name):
    table = pq.read_table(DATA / f"{name}.parquet")
    return table.filter(pc.equal(table["conversation"], CONVERSATION))


votes = of_conversation("votes")
if len(votes) == 0:
    names = sorted(set(pq.read_table(DATA / "votes.parquet")["conversation"].to_pylist()))
    print(f"There is no conversation {CONVERSATION!r}; there are {', '.join(names)}.")
    sys.exit(0)
keys = zip(votes["participant_id"].to_pylist(), votes["comment_id"].to_pylist(), strict=True)
last = {}
for row, (key, when) in enumerate(zip(keys, votes["timestamp"].to_pylist(), strict=True)):
    if key not in last or (when or 0) >= last[key][0]:
        last[key] = (when or 0, row)
votes = votes.take(pa.array(sorted(row for _, row in last.values())))
votes = votes.filter(pc.not_equal(votes["vote"], 0))
counts = votes["participant_id"].value_counts()
busy = pc.struct_field(counts, "values").filter(pc.greater_equal(pc.struct_field(counts, "counts"), 10))
votes = votes.filter(pc.is_in(votes["participant_id"], busy))
comments = of_conversation("comments")
text_of = dict(zip(comments["comment_id"].to_pylist(), comments["text"].to_pylist(), strict=True))

frame = pa.table(
    {
        "user": pc.cast(votes["participant_id"], pa.string()),
        "item": pc.cast(votes["comment_id"], pa.string()),
        "value": pc.cast(votes["vote"], pa.float64()),
    }
)
ids = sorted(set(frame["item"].to_pylist()), key=int)
items = pl.Items(ids=ids)
ratings = pl.Ratings.from_frame(frame, items=items)
train_votes, test_votes = ratings.split(test=0.2, rng=0)
PAIRS = 60
train = train_votes.to_comparisons(max_pairs_per_user=PAIRS, rng=0)
test = test_votes.to_comparisons(max_pairs_per_user=PAIRS, rng=1)


def decided(data):
    """Two agreements say nothing about which statement is preferred."""
    return data.take(data.outcome != 0.5)


train, test = decided(train), decided(test)
print(f"{CONVERSATION}: {len(ratings):,} votes of {train.n_users:,} people on {len(items)} statements")
print(f"{len(train):,} comparisons to fit, {len(test):,} of held-out votes")

# %%
# One ranking for everybody, or one for each group
# ------------------------------------------------
model = pl.models.MixtureBradleyTerry(n_groups="auto", max_groups=5, n_init=2, rng=0).fit(train)
rows = [("one ranking", pl.evaluate(model.control_, test)), (f"{model.n_groups_} groups", pl.evaluate(model, test))]
print(f"\n{'':<12} {'accuracy':>9} {'95 %':>14} {'NLL':>6} {'ECE':>6}")
for name, e in rows:
    low, high = e.intervals["accuracy"]
    print(f"{name:<12} {e.accuracy:>9.3f}  {low:.3f} - {high:.3f} {e.nll:>6.3f} {e.ece:>6.3f}")
print("\nheld-out people, nats an answer, by number of groups (one standard error to the best):")
for row in model.selection_:
    mark = " <- chosen" if row["chosen"] else ""
    print(f"{row['n_groups']:>3}  {row['held_out']:.4f}  ({row['se_to_best']:.4f}){mark}")

# %%
# Who they are
# ------------
reward = model.reward(items)
print()
for k, weight in enumerate(model.group_weights_):
    others = np.delete(reward, k, axis=1).mean(axis=1) if model.n_groups_ > 1 else np.zeros(len(items))
    print(f"group {k}: {weight:.0%} of the people; most in favour of, compared with the others")
    for i in np.argsort(others - reward[:, k])[:2]:
        print(f"   {str(text_of.get(int(ids[i])))[:110]}")

# %%
# Are they Polis' own groups?
# ---------------------------
# Polis clusters people in a plane of principal components.
people = of_conversation("participants")
published = {
    str(p): g
    for p, g in zip(people["participant_id"].to_pylist(), people["group_id"].to_pylist(), strict=True)
    if g is not None
}
members = model.membership()
both = [i for i, user in enumerate(members.users.to_pylist()) if user in published]
if model.n_groups_ > 1 and both:
    theirs = [published[members.users[i].as_py()] for i in both]
    agreement = adjusted_rand_score(theirs, members.labels[both])
    print(f"\nagreement with Polis' {len(set(theirs))} groups: ARI {agreement:.2f}")

# %%
# What was found
# --------------
first, second = rows[0][1], rows[1][1]
gain = second.accuracy - first.accuracy
if model.n_groups_ == 1:
    print("\nFound: groups of people bring nothing on these held-out people; one ranking is as good.")
else:
    print(
        f"\nFound: {model.n_groups_} groups predict {gain:+.1%} more of the held-out votes than one ranking "
        f"(NLL {second.nll - first.nll:+.3f}); the worst group has {second.worst_group_accuracy:.3f}."
    )
