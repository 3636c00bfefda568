"""
Which argument is more convincing? 443 people, one reward
=========================================================

Individual judgements of crowd workers on pairs of arguments of the same debate and stance. Two questions: what predicts
a person's held-out judgements (length, text, the argument itself, groups of people), and what carries over to debates
that were not in the training data?

Data: Habernal & Gurevych, ACL 2016 (CC BY 4.0). Run with ``python examples/ukp_convarg.py``; the data folder is
``$PLURALISM_DATA``, or ``../shared/data`` beside the source tree.
"""

# %%
# Judgements of people with at least twenty
# -----------------------------------------
# An argument is an item with an id of its own; its debate is its prompt, so that the ridge is chosen by leaving whole
# debates out.
import os
import sys
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import pluralism as pl
from pluralism.errors import ComponentWarning, SeparationWarning

DATA = Path(os.environ.get("PLURALISM_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")) / "ukp_convarg"
if not DATA.is_dir():
    print(f"This study needs {DATA}; set PLURALISM_DATA to the folder of the data sets.")
    sys.exit(0)
# debates are not compared with each other, and a few arguments always win: both are as they should be here
warnings.simplefilter("ignore", ComponentWarning)
warnings.simplefilter("ignore", SeparationWarning)

arguments = pq.read_table(DATA / "arguments.parquet")
ids = [f"{t}/{a}" for t, a in zip(arguments["topic"].to_pylist(), arguments["arg_id"].to_pylist(), strict=True)]
texts, debates = arguments["text"].to_pylist(), arguments["debate"].to_pylist()
encoded = pl.Items.from_texts(texts, ids=ids).embed("minilm", cache=pl.embeddings.default_cache())
items = pl.Items(ids=ids, texts=texts, prompts=debates, features=encoded.features, feature_space=encoded.feature_space)
without_text = pl.Items(ids=ids, texts=texts, prompts=debates)

pairs = pq.read_table(DATA / "pairs.parquet", columns=["pair_id", "topic", "arg_a", "arg_b"])
judged = pq.read_table(DATA / "comparisons.parquet", columns=["pair_id", "user_id", "choice"]).join(pairs, "pair_id")
counts = judged["user_id"].value_counts()
busy = pc.struct_field(counts, "values").filter(pc.greater_equal(pc.struct_field(counts, "counts"), 20))
judged = judged.filter(pc.is_in(judged["user_id"], busy)).sort_by([("user_id", "ascending"), ("pair_id", "ascending")])
slash = pa.scalar("/", judged["topic"].type)
outcome = {"a1": 1.0, "a2": 0.0, "equal": 0.5}
frame = pa.table(
    {
        "user": judged["user_id"],
        "left": pc.binary_join_element_wise(judged["topic"], judged["arg_a"], slash),
        "right": pc.binary_join_element_wise(judged["topic"], judged["arg_b"], slash),
        "outcome": [outcome[c] for c in judged["choice"].to_pylist()],
    }
)
data = pl.Comparisons.from_frame(frame, items=items)
print(data)


# %%
# Known arguments
# ---------------
# A random fifth of each person's rows is held out. Accuracy is of decided rows; NLL counts a tie as half a win for
# each side.
def line(name, e):
    low, high = e.intervals["accuracy"]
    print(f"{name:<42} {e.accuracy:>8.3f}  {low:.3f} - {high:.3f}  {e.nll:>6.3f}  {e.nll_decided:>6.3f}", flush=True)


def title(what):
    print(f"\n{what}\n{'':<42} {'accuracy':>8}  {'95 %':>13}  {'NLL':>6}  {'decided':>6}")


train, test = data.split(test=0.2, by="row", rng=0)
plain = {"rng": 0, "uncertainty": False}
BT = pl.models.BradleyTerry
models = {
    "length alone": (BT(ridge=1e6, covariates=("length",), **plain), False),
    "text": (BT(item_effects=False, **plain), True),
    "text and length": (BT(item_effects=False, covariates=("length",), **plain), True),
    "the argument itself": (BT(**plain), False),
    "text, argument and length": (BT(item_effects=True, covariates=("length",), **plain), True),
}
title("a fifth of each person's judgements held out")
scores = {}
for name, (model, with_text) in models.items():
    part = [d if with_text else d.with_items(without_text) for d in (train, test)]
    scores[name] = pl.evaluate(model.fit(part[0]), part[1], rng=0)
    line(name, scores[name])

# %%
# Do groups of people bring anything?
# -----------------------------------
# The same terms, with two groups whose rewards lie around a common one.
best = models["text, argument and length"][0]
mixture = pl.models.MixtureBradleyTerry(
    n_groups=2,
    shared=3.0,
    ridge=best.ridge_,
    item_effects=best.item_precision_,
    covariates=("length",),
    n_init=2,
    **plain,
).fit(train)
scores["two groups of people"] = pl.evaluate(mixture, test, rng=0)
line("the same, two groups of people", scores["two groups of people"])

# %%
# Does each person differ?
# ------------------------
# Every person's reward around the common one, along directions of the text and of the arguments; how many is chosen by
# held-out answers. Ties are answers of their own, which people give more or less readily.
personal = pl.models.HierarchicalBradleyTerry(
    ridge=best.ridge_, item_effects=best.item_precision_, covariates=("length",), ties="davidson", rng=0
).fit(train)
scores["each person"] = pl.evaluate(personal, test, rng=0)
line(f"the same, each person ({personal.rank_} directions)", scores["each person"])
tied = test.outcome == 0.5
nobody = personal.adapt(test.take(np.zeros(0, np.int64)))
tie_nll = {
    "ties as often as in training": np.full(len(test), np.mean(train.outcome == 0.5)),
    "one propensity to tie": personal.predict_tie_proba(test, membership=nobody),
    "each person's own": personal.predict_tie_proba(test),
}
print("\nis it a tie? (NLL)")
for name, p in tie_nll.items():
    print(f"{name:<42} {-np.mean(np.log(np.where(tied, p, 1 - p))):.3f}")

# %%
# Debates left out
# ----------------
# Each debate in turn is predicted from the eleven others. Item effects say nothing about new arguments.
title("debates left out of training, one at a time")
prompt = items.prompt_codes()[data.left]
left_out = {
    "length alone": BT(ridge=1e6, covariates=("length",), **plain),
    "text": BT(ridge=best.ridge_, item_effects=best.item_precision_, **plain),
    "text and length": BT(ridge=best.ridge_, item_effects=best.item_precision_, covariates=("length",), **plain),
}
for name, model in left_out.items():
    found = []
    for debate in np.unique(prompt):
        part = data if name != "length alone" else data.with_items(without_text)
        e = pl.evaluate(model.fit(part.take(prompt != debate)), part.take(prompt == debate), n_bootstrap=0)
        found.append((e.accuracy, e.nll, e.nll_decided, e.n_decided, e.n))
    accuracy, nll, decided, n_decided, n = np.array(found).T
    print(
        f"{name:<42} {np.average(accuracy, weights=n_decided):>8.3f}  {accuracy.min():.3f} - {accuracy.max():.3f}  "
        f"{np.average(nll, weights=n):>6.3f}  {np.average(decided, weights=n_decided):>6.3f}   "
        f"mean of debates {accuracy.mean():.3f}"
    )
print("(the range is over debates)")

# %%
# What was found
# --------------
alone, pooled = scores["the argument itself"], scores["text, argument and length"]
grouped = scores["two groups of people"]
print(
    f"\nFound: the argument itself explains most ({alone.accuracy:.3f}); its text and length add "
    f"{pooled.accuracy - alone.accuracy:+.3f}. Two groups of people change the NLL by {grouped.nll - pooled.nll:+.4f} "
    f"and the accuracy by {grouped.accuracy - pooled.accuracy:+.4f}. "
    f"Letting each person differ along {personal.rank_} directions changes them by "
    f"{scores['each person'].nll - pooled.nll:+.4f} and {scores['each person'].accuracy - pooled.accuracy:+.4f}. "
    f"Ridge {best.ridge_:.3g}, precision of item effects {best.item_precision_:.3g}."
)
