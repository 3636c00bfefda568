"""
Opposed personas: the pooled model fails the minority
=====================================================

Users hold one of two opposed views (politically liberal or not), ten to one, and share two fifths of what they judge
(an interest in science). Each judges 20 pairs of statements. Test pairs are of statements that nobody judged in
training, so what is measured is whether a group's view carries over to new texts.

Statements: model-written evaluations by Anthropic (CC BY 4.0), semi-synthetic users of our own making; they test how
disagreement is handled, not what people think. Run with ``python examples/anthropic_personas.py``; the data folder is
``$PLURALISM_DATA``, or ``../shared/data`` beside the source tree.
"""

# %%
# The statements, and who judges them
# -----------------------------------
import os
import sys
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

import pluralism as pl

DATA = Path(os.environ.get("PLURALISM_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
FILE = DATA / "anthropic_personas" / "statements.parquet"
if not FILE.exists():
    print(f"This study needs {FILE}; set PLURALISM_DATA to the folder of the data sets.")
    sys.exit(0)
OPPOSED, SHARED = "politically-liberal", "interest-in-science"
MAJORITY, MINORITY, ANSWERS, SHARED_PART = 200, 20, 20, 0.4

table = pq.read_table(FILE)
table = table.filter(pc.is_in(table["persona"], pc.cast([OPPOSED, SHARED], table["persona"].type)))
ids = [f"{p}/{r}" for p, r in zip(table["persona"].to_pylist(), table["row"].to_pylist(), strict=True)]
items = pl.Items.from_texts(table["statement"], ids=ids).embed("minilm", cache=pl.embeddings.default_cache())
persona, matching = np.array(table["persona"].to_pylist()), np.array(table["answer_matching"].to_pylist())


def judgements(n_users, n_answers, minority, statements, rng, prefix):
    """Pairs of a statement the persona would make and one it would not; the minority is of the opposite view."""
    user = np.repeat(np.arange(n_users), n_answers)
    shared = rng.random(len(user)) < SHARED_PART

    def draw(which, answer):
        return rng.choice(np.flatnonzero(statements & (persona == which) & (matching == answer)), len(user))

    yes = np.where(shared, draw(SHARED, "Yes"), draw(OPPOSED, "Yes"))
    no = np.where(shared, draw(SHARED, "No"), draw(OPPOSED, "No"))
    agrees = shared | ~minority[user]
    left_is_yes = rng.random(len(user)) < 0.5
    return pl.Comparisons.from_arrays(
        np.where(left_is_yes, yes, no),
        np.where(left_is_yes, no, yes),
        user=[f"{prefix}{u}" for u in user],
        outcome=(left_is_yes == agrees).astype(float),
        group=np.where(minority[user], "minority", "majority").tolist(),
        items=items,
    )


def accuracy_by_group(probability, data):
    names = np.array(data.groups.to_pylist())[data.group]
    right = (probability > 0.5) == (data.outcome > 0.5)
    return [float(right[names == name].mean()) for name in ("majority", "minority")]


# %%
# Pooled, mixture, and the model that knows the groups
# ----------------------------------------------------
def study(seed):
    rng = np.random.default_rng([seed, 2024])
    n_users = MAJORITY + MINORITY
    minority = np.arange(n_users) >= MAJORITY
    held_out = rng.random(len(items)) < 0.25
    train = judgements(n_users, ANSWERS, minority, ~held_out, rng, "u")
    test = judgements(n_users, ANSWERS, minority, held_out, rng, "u")
    # the first seed chooses the number of groups as well; the others are told, for time
    n_groups = "auto" if seed == 0 else 2
    model = pl.models.MixtureBradleyTerry(n_groups=n_groups, max_groups=3, rng=seed).fit(train)
    known = np.zeros(len(test))
    for name in ("majority", "minority"):
        code = train.groups.to_pylist().index(name)
        own = pl.models.BradleyTerry(rng=seed).fit(train.take(train.group == code))
        rows = np.array(test.groups.to_pylist())[test.group] == name
        known[rows] = own.predict_proba(test)[rows]
    newcomers = np.arange(110) >= 100
    support = judgements(110, 10, newcomers, ~held_out, rng, "new")
    scored = judgements(110, 20, newcomers, held_out, rng, "new")
    rank = np.tile(np.arange(10), 110)
    placed = [
        accuracy_by_group(model.predict_proba(scored, membership=model.adapt(support.take(rank < shots))), scored)
        for shots in (0, 2, 5, 10)
    ]
    return {
        "groups": model.n_groups_,
        "weights": model.group_weights_,
        "pooled": accuracy_by_group(model.control_.predict_proba(test), test),
        "mixture": accuracy_by_group(model.predict_proba(test), test),
        "known groups": accuracy_by_group(known, test),
        "new users": placed,
    }


SEEDS = int(os.environ.get("SEEDS", "3"))
results = [study(seed) for seed in range(SEEDS)]
print("accuracy on statements nobody judged in training (majority / minority)")
print(f"{'seed':>4}  {'groups':>6}  {'smallest':>8}  {'pooled':>13}  {'mixture':>13}  {'known groups':>13}")
for seed, r in enumerate(results):
    cells = ["{:.3f} / {:.3f}".format(*r[name]) for name in ("pooled", "mixture", "known groups")]
    print(f"{seed:>4}  {r['groups']:>6}  {r['weights'][-1]:>8.3f}  " + "  ".join(cells))

# %%
# New users
# ---------
# Placed by their first answers alone, scored on others.
print("\nnew users, by answers given (majority / minority, mean of the seeds)")
for i, shots in enumerate((0, 2, 5, 10)):
    print(f"{shots:>4}  " + " / ".join(f"{v:.3f}" for v in np.mean([r["new users"][i] for r in results], axis=0)))

# %%
# What was found
# --------------
gap = np.array([np.subtract(r["known groups"], r["mixture"]) for r in results])
print(
    f"\nFound: one reward for everybody gets {np.mean([r['pooled'][1] for r in results]):.0%} of the minority right. "
    f"The mixture is {gap[:, 1].mean():+.3f} behind the model that knows the groups for the minority and "
    f"{gap[:, 0].mean():+.3f} for the majority (negative: ahead); largest {gap.max():+.3f}."
)
