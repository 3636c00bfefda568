"""
How much better, not only which: strengths of preference
========================================================

HelpSteer2-Preference asks people by how much an answer is better (slightly, better, much better). Four ways to use
that are compared where the truth is known: an ordinal likelihood, Bradley-Terry with each row weighted by its
strength ("scaled"), Bradley-Terry with the strength as a margin, and Bradley-Terry that looks at the winner alone.
Then the same on ratings of recipes (1 to 6, two ratings of one place in the list are a comparison with a strength).

Data of the second part: JUDGE-BENCH, recipes (CC BY 4.0). Run with ``python examples/strengths.py``; the data folder
is ``$PLURALISM_DATA``, or ``../shared/data`` beside the source tree.
"""

# %%
# Known truth
# -----------
# The strength is the reward difference with logistic noise, cut at thresholds.
import os
import warnings
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

import pluralism as pl
from pluralism.calibration import accuracy, ece, log_loss
from pluralism.errors import PluralismWarning

warnings.simplefilter("ignore", PluralismWarning)
SEEDS = int(os.environ.get("SEEDS", "10"))
METHODS = {
    "plain": {"likelihood": "plain"},
    "margin": {"likelihood": "margin", "recalibrate": False},
    "margin, recalibrated": {"likelihood": "margin"},
    "scaled": {"likelihood": "scaled", "recalibrate": False},
    "scaled, recalibrated": {"likelihood": "scaled"},
    "ordinal": {"likelihood": "ordinal"},
}


def simulated(seed, n_train=3000, n_test=20_000, dim=32, n_items=4000):
    rng = np.random.default_rng([seed, 11])
    features = rng.normal(size=(n_items, dim)) / np.sqrt(np.arange(1, dim + 1))
    reward = features @ rng.normal(size=dim)
    reward *= 1.3 / np.sqrt(2) / reward.std()
    left, right = rng.integers(n_items, size=(2, n_train + n_test))
    right = np.where(right == left, (right + 1) % n_items, right)
    latent = reward[left] - reward[right] + rng.logistic(size=len(left))
    data = pl.Comparisons.from_arrays(
        left,
        right,
        outcome=(latent > 0).astype(float),
        strength=1.0 + np.searchsorted([0.8, 2.0], np.abs(latent)),
        items=pl.Items(ids=[str(i) for i in range(n_items)]).with_features(features, "simulated"),
    )
    return data.take(np.arange(n_train)), data.take(np.arange(n_train, n_train + n_test)), reward


def scores(model, test):
    p = model.predict_proba(test)
    decided = test.outcome != 0.5
    return (
        accuracy(p, test.outcome),
        ece(p[decided], test.outcome[decided]),
        log_loss(p[decided], test.outcome[decided]),
    )


rows = {name: [] for name in METHODS}
for seed in range(SEEDS):
    train, test, reward = simulated(seed)
    for name, settings in METHODS.items():
        model = pl.models.OrdinalBradleyTerry(item_effects=False, uncertainty=False, **settings).fit(train)
        correlation = np.corrcoef(model.reward(test.items)[:, 0], reward)[0, 1]
        rows[name].append([*scores(model, test), correlation])
print(f"latent logistic strength, 3,000 comparisons, mean of {SEEDS} seeds")
print(f"{'':<22} {'accuracy':>8} {'ECE':>6} {'NLL':>6} {'correlation':>12}")
for name, values in rows.items():
    a, e, n, c = np.mean(values, axis=0)
    print(f"{name:<22} {a:>8.3f} {e:>6.3f} {n:>6.3f} {c:>12.3f}")
gain = np.array(rows["plain"])[:, 2] - np.array(rows["ordinal"])[:, 2]
print(f"ordinal against plain, NLL: {gain.mean():+.4f} (standard error {gain.std(ddof=1) / np.sqrt(len(gain)):.4f})")

# %%
# Ratings of recipes
# ------------------
# Ratings by one place in the list are compared; the difference is the strength. Each recipe has a reward of its own.
folder = Path(os.environ.get("PLURALISM_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
folder = folder / "recipe_human_eval"
if folder.is_dir():
    texts, given = pq.read_table(folder / "items.parquet"), pq.read_table(folder / "ratings.parquet")
    items = pl.Items(ids=[str(i) for i in texts["item_id"].to_pylist()])
    ratings = pl.Ratings.from_frame(
        {
            "user": [str(slot) for slot in given["slot"].to_pylist()],
            "item": [str(i) for i in given["item_id"].to_pylist()],
            "attribute": given["attribute"].to_pylist(),
            "value": [float(v) for v in given["rating"].to_pylist()],
        },
        items=items,
    )
    overall = ratings.of_attribute("overall")
    print(f"\nrecipes: {len(overall):,} ratings of {len(items)} texts, a fifth of the ratings held out, 5 times")
    found = {name: [] for name in METHODS}
    for seed in range(5):
        train, test = (part.to_comparisons(attribute="overall") for part in overall.split(test=0.2, rng=seed))
        for name, settings in METHODS.items():
            model = pl.models.OrdinalBradleyTerry(uncertainty=False, **settings).fit(train)
            found[name].append(scores(model, test))
    print(f"{'':<22} {'accuracy':>8} {'ECE':>6} {'NLL':>6}")
    for name, values in found.items():
        a, e, n = np.mean(values, axis=0)
        print(f"{name:<22} {a:>8.3f} {e:>6.3f} {n:>6.3f}")
else:
    print(f"\nThe second part needs {folder}; set PLURALISM_DATA to the folder of the data sets.")
