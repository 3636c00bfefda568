"""
Does least-norm weighting of sources help? MORE against uniform weights and one temperature
============================================================================================

MORE trains one reward model on several preference data sets and weighs them, batch by batch, by the point of least norm
of their gradients on the head; the paper reports better calibration. On frozen features the question can be answered
exactly: the same linear head, the same data, several weightings, and the calibration error beside the band that a
perfectly calibrated model would show. The rival is plain: uniform weights, and one temperature a source fitted to
validation rows.

Data of the second part: hh-rlhf (MIT), HHH alignment (Apache-2.0), UKPConvArg1 (CC BY). Run with
``python examples/more_weighting.py``; the data folder is ``$PLURALISM_DATA``, or ``../shared/data`` beside the source
tree.
"""

# %%
# Two designs with a known truth
# ------------------------------
# Five sources share a head and drift from it: five of one size, and one large against three small ones that drift more.
import os
import warnings
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from scipy.special import expit

import pluralism as pl
from pluralism.errors import PluralismWarning
from pluralism.models.source_calibration import source_calibration

warnings.simplefilter("ignore", PluralismWarning)
SEEDS = int(os.environ.get("SEEDS", "8"))
DESIGNS = {"balanced": ((1000,) * 5, 0.5), "imbalanced": ((3000, 1500, 300, 300, 300), 0.9)}
VALIDATION, TEST = 500, 2000
METHODS = {
    "size": {"weights": "size"},
    "uniform": {"weights": "uniform"},
    "least norm": {"weights": "min_norm"},
    "least norm of unit gradients": {"weights": "min_norm_normalised"},
    "as published": {"weights": "min_norm_normalised", "published": True, "n_steps": 600},
    "group DRO": {"weights": "group_dro"},
    "uniform, and a drift a source": {"weights": "uniform", "drift": 3.0},
}


def simulated(seed, sizes, drift, dim=64, n_items=3000):
    rng = np.random.default_rng([seed, 71, len(set(sizes))])
    features = rng.normal(size=(n_items, dim)) / np.sqrt(np.arange(1, dim + 1))
    shared, own = rng.normal(size=dim), rng.normal(size=(len(sizes), dim))
    # the first source stays nearest to what is shared; the drift of the others is as stated
    heads = shared + drift * own * np.array([0.5, *[1.0] * (len(sizes) - 1)])[:, None]
    heads *= 1.2 / np.sqrt(2) / (features @ heads.T).std(axis=0)[:, None]
    items = pl.Items(ids=[str(i) for i in range(n_items)]).with_features(features, "simulated")
    parts = []
    for take in (list(sizes), [VALIDATION] * len(sizes), [TEST] * len(sizes)):
        source = np.repeat(np.arange(len(sizes)), take)
        left = rng.integers(n_items, size=len(source))
        right = (left + 1 + rng.integers(n_items - 1, size=len(source))) % n_items
        z = np.sum((features[left] - features[right]) * heads[source], axis=1)
        outcome = (rng.random(len(z)) < expit(z)).astype(float)
        names = [f"source {k}" for k in source]
        parts.append(pl.Comparisons.from_arrays(left, right, outcome=outcome, source=names, items=items))
    return parts


def summary(model, validation, test):
    """Mean accuracy, worst source's accuracy, mean ECE before and after, mean band, mean NLL before and after."""
    rows = source_calibration(model, test, validation=validation)
    after = [
        (r.ece if r.ece_after is None else r.ece_after, r.nll if r.nll_after is None else r.nll_after) for r in rows
    ]
    return [
        np.mean([r.accuracy for r in rows]),
        min(r.accuracy for r in rows),
        np.mean([r.ece for r in rows]),
        np.mean([e for e, _ in after]),
        np.mean([r.null_high for r in rows]),
        np.mean([r.nll for r in rows]),
        np.mean([n for _, n in after]),
    ]


def show(title, found):
    print(f"\n{title}")
    print(f"{'':<30} {'accuracy':>8} {'worst':>6} {'ECE':>6} {'after':>6} {'(chance)':>8} {'NLL':>6} {'after':>6}")
    for name, rows in found.items():
        a, worst, e, after, band, nll, nll_after = np.mean(rows, axis=0)
        print(f"{name:<30} {a:>8.3f} {worst:>6.3f} {e:>6.3f} {after:>6.3f} {band:>8.3f} {nll:>6.3f} {nll_after:>6.3f}")
    base = np.array(found["uniform"])
    for name in ("least norm", "least norm of unit gradients", "as published"):
        less = np.array(found[name]) - base
        error = less.std(axis=0, ddof=1) / np.sqrt(len(less))
        print(
            f"{name} less uniform, after a temperature: ECE {less[:, 3].mean():+.4f} (s.e. {error[3]:.4f}), "
            f"NLL {less[:, 6].mean():+.4f} ({error[6]:.4f}), worst source {less[:, 1].mean():+.4f} ({error[1]:.4f})"
        )
    return base


for design, (sizes, drift) in DESIGNS.items():
    found = {name: [] for name in METHODS}
    for seed in range(SEEDS):
        train, validation, test = simulated(seed, sizes, drift)
        for name, settings in METHODS.items():
            model = pl.models.MultiSource(
                **{"drift": None, **settings}, ridge=5.0, item_effects=False, uncertainty=False, rng=seed
            )
            found[name].append(summary(model.fit(train), validation, test))
    show(f"{design}: rows {', '.join(map(str, sizes))}; mean of {SEEDS} seeds, {TEST} test rows a source", found)

# %%
# Three real sources
# ------------------
# Harmless dialogues, the HHH questions and convincing arguments, texts as hashed words. Half of each source's pairs are
# fitted, a fifth calibrates, the rest is scored.
folder = Path(os.environ.get("PLURALISM_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
if folder.is_dir():
    encoder = os.environ.get("ENCODER", "hash:256")
    left, right, source = [], [], []
    for name in ("hh_rlhf_harmless", "hhh_alignment"):
        for row in pq.read_table(folder / name / "pairs.parquet").to_pylist():
            left.append(row["chosen"][-2000:])
            right.append(row["rejected"][-2000:])
            source.append(name)
    texts = pq.read_table(folder / "ukp_convarg" / "arguments.parquet").to_pylist()
    text_of = {(row["topic"], row["arg_id"]): row["text"] for row in texts}
    pairs = [row for row in pq.read_table(folder / "ukp_convarg" / "pairs.parquet").to_pylist()]
    pairs = [row for row in pairs if row["gold"] in ("a1", "a2")]
    for i in np.random.default_rng(0).choice(len(pairs), 1500, replace=False):
        row = pairs[i]
        a, b = text_of[row["topic"], row["arg_a"]], text_of[row["topic"], row["arg_b"]]
        left.append(a if row["gold"] == "a1" else b)
        right.append(b if row["gold"] == "a1" else a)
        source.append("ukp_convarg")
    differ = [i for i in range(len(left)) if left[i] != right[i] and left[i].strip() and right[i].strip()]
    left, right, source = ([column[i] for i in differ] for column in (left, right, source))
    data = pl.Comparisons.from_arrays(left, right, source=source).embed(encoder)
    found = {name: [] for name in METHODS}
    for seed in range(min(SEEDS, 6)):
        train, rest = data.split(test=0.5, by="pair", rng=seed)
        test, validation = rest.split(test=0.4, by="pair", rng=seed)
        for name, settings in METHODS.items():
            model = pl.models.MultiSource(
                **{"drift": None, **settings}, item_effects=False, uncertainty=False, rng=seed
            )
            found[name].append(summary(model.set_params(blocks="pair").fit(train), validation, test))
    show(f"{len(data):,} pairs of three real sources ({encoder}), mean of {len(found['size'])} splits", found)
else:
    print(f"\nThe second part needs {folder}; set PLURALISM_DATA to the folder of the data sets.")
