"""
Votes: how strict people are, what they like, and where they stand
==================================================================

Agree or disagree, safe or unsafe: a vote puts an item above or below a threshold of the person's own. How far do
thresholds alone explain votes, and what do groups of people, or places in a space of a few dimensions, add? Twelve
Polis conversations, the last fifth of each person's votes held out; and safety ratings of conversations by 123 raters
(DICES-350), a random fifth of each rater's held out.

Data: the Computational Democracy Project, openData, and Google's DICES (both CC BY 4.0). Run with
``python examples/votes.py``; the data folder is ``$PLURALISM_DATA``, or ``../shared/data`` beside the source tree.
"""

# %%
# Votes are comparisons with a threshold
# --------------------------------------
import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

import pluralism as pl
from pluralism.models import BradleyTerry, HierarchicalBradleyTerry, MixtureBradleyTerry

DATA = Path(os.environ.get("PLURALISM_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
if not (DATA / "polis").is_dir():
    print(f"This study needs {DATA}; set PLURALISM_DATA to the folder of the data sets.")
    sys.exit(0)
# many statements are agreed with by all, and the prior keeps them finite
warnings.simplefilter("ignore", pl.errors.DataWarning)


def polis():
    """Votes of each conversation, in the order in which they were given; the last vote on a statement counts."""
    votes = pq.read_table(DATA / "polis" / "votes.parquet").to_pandas()
    votes["timestamp"] = votes["timestamp"].fillna(0)
    votes = votes.sort_values("timestamp", kind="stable")
    votes = votes.drop_duplicates(["conversation", "participant_id", "comment_id"], keep="last")
    votes = votes[votes["vote"] != 0]
    for name, mine in votes.groupby("conversation"):
        turn = mine.groupby("participant_id").cumcount()
        total = mine.groupby("participant_id")["vote"].transform("size")
        mine = mine[total >= 5]
        held = (turn >= np.ceil(0.8 * total))[total >= 5].to_numpy()
        frame = mine.rename(columns={"participant_id": "user", "comment_id": "item", "vote": "value"})
        data = pl.Ratings.from_frame(frame[["user", "item", "value"]], scale=(-1, 1)).to_votes()
        yield name, data.take(~held), data.take(held)


def dices():
    """Safe or unsafe, as raters said; those unsure are left out."""
    table = pq.read_table(DATA / "dices" / "ratings_350.parquet").to_pandas()
    table = table[table["label"] != "Unsure"]
    frame = table.rename(columns={"rater_id": "user", "item_id": "item"})
    frame["value"] = (frame["label"] == "No").astype(float)
    data = pl.Ratings.from_frame(frame[["user", "item", "value"]], scale=(0, 1)).to_votes()
    train, test = data.split(test=0.2, by="row", rng=0)
    yield "DICES-350", train, test


# %%
# Items alone, thresholds, groups, and places
# -------------------------------------------
# The same priors for all: of precision 0.3 for items, and 3 for their places.
common = {"ridge": 0.3, "covariates": ("threshold",), "tol": 1e-6, "rng": 0}
MODELS = {
    "items alone": BradleyTerry(**common, uncertainty=False),
    "items and thresholds": HierarchicalBradleyTerry(rank=0, **common),
    "four groups": MixtureBradleyTerry(n_groups=4, n_init=2, **common, uncertainty=False),
    "two groups and thresholds": HierarchicalBradleyTerry(n_groups=2, rank=0, **common),
    "two dimensions": HierarchicalBradleyTerry(rank=2, loading_precision=3.0, **common),
    "four dimensions": HierarchicalBradleyTerry(rank=4, loading_precision=3.0, **common),
}


def study(title, parts):
    parts = list(parts)
    votes = sum(len(train) + len(test) for _, train, test in parts)
    print(f"\n{title}: {votes:,} votes, {len(parts)} set{'s' * (len(parts) > 1)}")
    print(f"{'':<28} {'accuracy':>8} {'NLL':>6} {'ECE':>6} {'seconds':>8}")
    for name, model in MODELS.items():
        started = time.perf_counter()
        found = [pl.evaluate(model.fit(train), test, n_bootstrap=0) for _, train, test in parts]
        accuracy, nll, ece = np.mean([(e.accuracy, e.nll, e.ece) for e in found], axis=0)
        print(f"{name:<28} {accuracy:>8.3f} {nll:>6.3f} {ece:>6.3f} {time.perf_counter() - started:>8.1f}", flush=True)


study("Polis, mean of the conversations", polis())
study("DICES", dices())
