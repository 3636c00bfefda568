"""
Four opposed groups, one of 5 %: are they found, and does each get what it wants?
=================================================================================

Four groups hold the four combinations of two opposed views (politically liberal or not, willing to take risks or not),
in shares of .50, .30, .15 and .05. Each of 400 users judges 20 pairs of statements. A mixture is fitted without knowing
who belongs where; test pairs are of statements that nobody judged in training. It is compared with the model that knows
the groups, and on new users by the number of their answers.

Statements: model-written evaluations by Anthropic (CC BY 4.0), semi-synthetic users of our own making. Run with
``python examples/persona_groups.py``; the data folder is ``$PLURALISM_DATA``, or ``../shared/data`` beside the source
tree.
"""

# %%
# The statements, and who judges them
# -----------------------------------
import os
import sys
import warnings
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sklearn.metrics import adjusted_rand_score

import pluralism as pl
from pluralism.errors import SeparationWarning
from pluralism.models import BradleyTerry, HierarchicalBradleyTerry, MixtureBradleyTerry

DATA = Path(os.environ.get("PLURALISM_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
FILE = DATA / "anthropic_personas" / "statements.parquet"
if not FILE.exists():
    print(f"This study needs {FILE}; set PLURALISM_DATA to the folder of the data sets.")
    sys.exit(0)
# the smallest group is small enough for a linear reward to explain all it said
warnings.simplefilter("ignore", SeparationWarning)
VIEWS = ("politically-liberal", "risk-seeking")
SIGNS = np.array([(1, 1), (-1, 1), (1, -1), (-1, -1)])
SHARES, USERS, ANSWERS = (0.50, 0.30, 0.15, 0.05), 400, 20

table = pq.read_table(FILE)
table = table.filter(pc.is_in(table["persona"], pc.cast(list(VIEWS), table["persona"].type)))
ids = [f"{p}/{r}" for p, r in zip(table["persona"].to_pylist(), table["row"].to_pylist(), strict=True)]
items = pl.Items.from_texts(table["statement"], ids=ids).embed("minilm", cache=pl.embeddings.default_cache())
persona, matching = np.array(table["persona"].to_pylist()), np.array(table["answer_matching"].to_pylist())


def judgements(group, n_answers, statements, rng, prefix):
    """Pairs of a statement that holders of a view would make and one they would not, judged by one's own view."""
    user = np.repeat(np.arange(len(group)), n_answers)
    view = rng.integers(0, len(VIEWS), len(user))

    def draw(answer):
        pools = [np.flatnonzero(statements & (persona == v) & (matching == answer)) for v in VIEWS]
        return np.choose(view, [rng.choice(pool, len(user)) for pool in pools])

    yes, no = draw("Yes"), draw("No")
    agrees = SIGNS[group[user], view] > 0
    left_is_yes = rng.random(len(user)) < 0.5
    return pl.Comparisons.from_arrays(
        np.where(left_is_yes, yes, no),
        np.where(left_is_yes, no, yes),
        user=[f"{prefix}{u}" for u in user],
        outcome=(left_is_yes == agrees).astype(float),
        group=[f"group {g}" for g in group[user]],
        items=items,
    )


def by_group(p, data):
    names = np.array(data.groups.to_pylist())[data.group]
    right = (p > 0.5) == (data.outcome > 0.5)
    return np.array([right[names == f"group {g}"].mean() for g in range(4)])


# %%
# Found, against known
# --------------------
def study(seed):
    rng = np.random.default_rng([seed, 4])
    group = np.repeat(np.arange(4), np.round(np.array(SHARES) * USERS).astype(int))
    held_out = rng.random(len(items)) < 0.25
    train = judgements(group, ANSWERS, ~held_out, rng, "u")
    test = judgements(group, ANSWERS, held_out, rng, "u")
    mixture = MixtureBradleyTerry(n_groups=4, n_init=8, item_effects=False, rng=seed).fit(train)
    slopes = HierarchicalBradleyTerry(
        rank=2, loading_precision=0.1, ridge=mixture.control_.ridge_, item_effects=False, rng=seed
    ).fit(train)
    known = np.zeros(len(test))
    for g in range(4):
        mine = [d.group == d.groups.to_pylist().index(f"group {g}") for d in (train, test)]
        own = BradleyTerry(item_effects=False, uncertainty=False, rng=seed).fit(train.take(mine[0]))
        known[mine[1]] = own.predict_proba(test)[mine[1]]
    order = [int(u[1:]) for u in mixture.users_.to_pylist()]
    newcomers = np.repeat(np.arange(4), 25)
    support = judgements(newcomers, 20, ~held_out, rng, "new")
    scored = judgements(newcomers, 20, held_out, rng, "new")
    rank = np.tile(np.arange(20), 100)
    placed = [
        [
            by_group(model.predict_proba(scored, membership=model.adapt(support.take(rank < shots))), scored).mean()
            for shots in (0, 2, 5, 10, 20)
        ]
        for model in (mixture, slopes)
    ]
    return {
        "ari": adjusted_rand_score(group[order], mixture.membership().labels),
        "one reward": by_group(mixture.control_.predict_proba(test), test),
        "four groups": by_group(mixture.predict_proba(test), test),
        "slopes": by_group(slopes.predict_proba(test), test),
        "known groups": by_group(known, test),
        "new users": np.array(placed),
    }


SEEDS = int(os.environ.get("SEEDS", "3"))
results = [study(seed) for seed in range(SEEDS)]
print(f"agreement with the planted groups (ARI), {SEEDS} seeds: " + ", ".join(f"{r['ari']:.3f}" for r in results))
print("\naccuracy on statements nobody judged in training, by group (mean of the seeds)")
print(f"{'':<14}" + "".join(f"{f'{share:.0%}':>8}" for share in SHARES))
for name in ("one reward", "four groups", "slopes", "known groups"):
    print(f"{name:<14}" + "".join(f"{v:>8.3f}" for v in np.mean([r[name] for r in results], axis=0)))
worst = max(float(np.max(r["known groups"] - r["four groups"])) for r in results)
print(f"\nfarthest that a group of the mixture is behind the model that knows the groups: {worst:+.3f}")

# %%
# New users
# ---------
print("\nnew users, mean accuracy of the four groups, by answers given")
print(f"{'':<14}" + "".join(f"{shots:>8}" for shots in (0, 2, 5, 10, 20)))
for name, row in zip(("four groups", "slopes"), np.mean([r["new users"] for r in results], axis=0), strict=True):
    print(f"{name:<14}" + "".join(f"{v:>8.3f}" for v in row))

# %%
# What was found
# --------------
mixture, one = np.mean([r["four groups"] for r in results], axis=0), np.mean([r["one reward"] for r in results], axis=0)
print(
    f"\nFound: one reward for everybody gets {one[-1]:.0%} of the smallest group right, the mixture {mixture[-1]:.0%}. "
    f"Slopes along two directions do as well as four groups here, for there are two views, held in any mix."
)
