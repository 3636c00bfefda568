"""
People as directions over rated attributes
==========================================

Directional preference alignment describes what somebody wants as a direction over rated attributes, with weights of
either sign: helpful, and rather *not* long. Three questions. How many answers place a person, and does the posterior
say how sure that is? Do attributes learnt from ratings predict which answer people prefer? And what does best-of-n by
direction reach on ratings that the scores have not seen?

Data: FineGrainedRLHF (Apache-2.0) and the Newsroom human evaluation (JUDGE-BENCH; Apache-2.0). Run with
``python examples/attribute_directions.py``; the data folder is ``$PLURALISM_DATA``, or ``../shared/data`` beside the
source tree.
"""

# %%
# Planted directions
# ------------------
import os
import sys
import warnings
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from scipy.special import expit

import pluralism as pl
from pluralism.calibration import accuracy, log_loss
from pluralism.errors import PluralismWarning
from pluralism.models.pareto import front

warnings.simplefilter("ignore", PluralismWarning)
SEEDS = int(os.environ.get("SEEDS", "5"))


def planted(seed, n_attributes, n_answers, n_users=60, dim=12, n_items=300):
    """People around one direction; ratings with noise, a third of them missing."""
    rng = np.random.default_rng([seed, n_attributes, 51])
    features = rng.normal(size=(n_items, dim))
    mixing = rng.normal(size=(dim, n_attributes)) / np.sqrt(dim)
    value = features @ mixing
    noisy = value + 0.5 * rng.normal(size=value.shape)
    seen = rng.random(value.shape) < 2 / 3
    item, attribute = np.nonzero(seen)
    items = pl.Items(ids=[str(i) for i in range(n_items)]).with_features(features, "simulated")
    names = [f"attribute {k}" for k in range(n_attributes)]
    ratings = pl.Ratings(items, ["rater"], np.zeros(len(item), int), item, noisy[seen], attribute, names)
    centre = rng.normal(size=n_attributes)
    direction = centre / np.linalg.norm(centre) + 0.5 * rng.normal(size=(n_users, n_attributes))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    user = np.repeat(np.arange(n_users), n_answers)
    left = rng.integers(n_items, size=len(user))
    right = (left + 1 + rng.integers(n_items - 1, size=len(user))) % n_items
    scaled = value / value.std(axis=0)
    z = 2.0 * np.sum(direction[user] * (scaled[left] - scaled[right]), axis=1)
    outcome = (rng.random(len(user)) < expit(z)).astype(float)
    people = [f"p{u}" for u in range(n_users)]
    return (
        ratings,
        pl.Comparisons.from_arrays(left, right, user=user, users=people, outcome=outcome, items=items),
        direction,
    )


print(f"planted directions, 60 people, mean of {SEEDS} seeds")
print(f"{'attributes':>10} {'answers':>8} {'cosine':>7} {'certainty':>10} {'prior alone':>12} {'draws (least)':>14}")
for n_attributes in (2, 4):
    for n_answers in (2, 10, 40):
        rows = []
        for seed in range(SEEDS):
            ratings, comparisons, truth = planted(seed, n_attributes, n_answers)
            model = pl.models.DirectionalReward(rng=seed).fit(ratings, comparisons=comparisons)
            cosine = np.sum(model.directions() * truth, axis=1)
            length = np.linalg.norm(model.position_, axis=1)
            rows.append([cosine.mean(), length.mean(), (truth @ model.direction_).mean(), model.ess_.min()])
        c, length, prior, ess = np.mean(rows, axis=0)
        print(f"{n_attributes:>10} {n_answers:>8} {c:>7.3f} {length:>10.3f} {prior:>12.3f} {ess:>14.0f}")

# %%
# Errors in answers, and which answer is preferred
# ------------------------------------------------
# The errors that people marked in one answer of each question are ratings of relevance, factuality and completeness
# (less the number of errors). All four answers were compared. Questions are held out whole.
folder = Path(os.environ.get("PLURALISM_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
if not folder.is_dir():
    print(f"The rest needs {folder}; set PLURALISM_DATA to the folder of the data sets.")
    sys.exit(0)
prompts = pq.read_table(folder / "finegrained_qa_feedback" / "prompts.parquet").to_pylist()
judged = pq.read_table(folder / "finegrained_qa_feedback" / "comparisons.parquet").to_pylist()
errors = pq.read_table(folder / "finegrained_qa_feedback" / "errors.parquet").to_pylist()
KINDS = {"Irrelevant": 0, "Redundant": 0, "Incoherent": 0, "Wrong-Grounding": 1, "Unverifiable": 1}
names = ["relevance", "factuality", "completeness"]
encoder = os.environ.get("ENCODER", "hash:256")
ids = [f"{row['prompt_id']}/{k}" for row in prompts for k in range(1, 5)]
items = pl.Items(
    ids=ids,
    texts=[row[f"response_{k}"] for row in prompts for k in range(1, 5)],
    prompts=[row["prompt"] for row in prompts for _ in range(4)],
).embed(encoder)
code = {name: position for position, name in enumerate(ids)}
marked = np.zeros((len(prompts), 3))
place = {row["prompt_id"]: position for position, row in enumerate(prompts)}
for error in errors:
    marked[place[error["prompt_id"]], KINDS.get(error["error_type"], 2)] -= 1
first = np.array([code[f"{row['prompt_id']}/1"] for row in prompts])
ratings = pl.Ratings(
    items,
    ["annotators"],
    np.zeros(marked.size, int),
    np.repeat(first, 3),
    marked.ravel(),
    np.tile(np.arange(3), len(prompts)),
    names,
)
choices = {"a": 1.0, "b": 0.0, "tie": 0.5}
comparisons = pl.Comparisons.from_arrays(
    [code[f"{row['prompt_id']}/{row['response_a']}"] for row in judged],
    [code[f"{row['prompt_id']}/{row['response_b']}"] for row in judged],
    outcome=[choices[row["choice"]] for row in judged],
    items=items,
)
scores = {"directions": [], "Bradley-Terry": [], "length alone": []}
bare = pl.Items(ids=ids, texts=items.texts)
for seed in range(SEEDS):
    train, test = comparisons.split(test=0.2, by="prompt", rng=seed)
    known = np.isin(ratings.item, np.unique(np.concatenate([train.left, train.right])))
    directional = pl.models.DirectionalReward(rng=seed).fit(ratings.take(known), comparisons=train)
    pooled = pl.models.BradleyTerry(item_effects=False, rng=seed).fit(train)
    alone = pl.models.BradleyTerry(covariates=("length",), ridge=1e6, rng=seed)
    alone.fit(train.with_items(bare))
    for name, model, data in (
        ("directions", directional, test),
        ("Bradley-Terry", pooled, test),
        ("length alone", alone, test.with_items(bare)),
    ):
        p = model.predict_proba(data)
        scores[name].append([accuracy(p, test.outcome), log_loss(p, test.outcome)])
fitted = pl.models.DirectionalReward().fit(ratings, comparisons=comparisons)
print(f"\nquestions left out ({encoder}, {len(judged):,} comparisons, {SEEDS} splits)")
for name, values in scores.items():
    a, n = np.mean(values, axis=0)
    print(f"{name:<15} accuracy {a:.3f}  NLL {n:.3f}")
share = ", ".join(f"{name} {r2:+.3f}" for name, r2 in zip(names, fitted.r2_, strict=True))
print(f"explained of questions left out (R2): {share}")
print("everybody's direction: " + fitted.system_prompt(fitted.direction_, persona="").strip())

# %%
# What best-of-seven reaches
# --------------------------
# Two raters' ratings of a summary are the features, the third's are to be predicted. Candidates are the seven systems'
# summaries of an article; what a direction picks is scored by the third rater, articles held out in five folds.
rated = pq.read_table(folder / "newsroom_human_eval" / "ratings.parquet").to_pylist()
articles = pq.read_table(folder / "newsroom_human_eval" / "items.parquet").to_pylist()
attributes = sorted({row["attribute"] for row in rated})
table = np.full((len(articles), 3, len(attributes)), np.nan)
for row in rated:
    table[row["item_id"], row["slot"], attributes.index(row["attribute"])] = row["rating"]
group = np.array([row["article_group"] for row in articles])
fold = np.unique(group, return_inverse=True)[1] % 5
predicted, third = np.zeros((len(articles), len(attributes))), table[:, 2]
for f in range(5):
    names = [str(i) for i in range(len(articles))]
    candidates = pl.Items(ids=names, texts=names, prompts=[str(g) for g in group])
    candidates = candidates.with_features(table[:, :2].reshape(len(articles), -1), "two raters")
    rows = np.flatnonzero(fold != f)
    n = len(attributes)
    train = pl.Ratings(
        candidates,
        ["third"],
        np.zeros(len(rows) * n, int),
        np.repeat(rows, n),
        third[rows].ravel(),
        np.tile(np.arange(n), len(rows)),
        attributes,
    )
    model = pl.models.DirectionalReward().fit(train)
    predicted[fold == f] = model.attribute_scores(candidates)[fold == f]
angle = np.linspace(0, np.pi / 2, 7)
x, y = attributes.index("Informativeness"), attributes.index("Fluency")
unit = np.stack([np.cos(angle), np.sin(angle)], axis=1)
pool = np.unique(group, return_inverse=True)[1]
scaled = predicted[:, [x, y]] / predicted[:, [x, y]].std(axis=0)
held = front(scaled @ unit.T, third[:, [x, y]], pool, directions=unit, attributes=["Informativeness", "Fluency"])
own = front(scaled @ unit.T, predicted[:, [x, y]], pool, directions=unit, attributes=["Informativeness", "Fluency"])
print("\nbest of seven summaries by direction, 60 articles: Informativeness and Fluency (1 to 5)")
print(f"a random pick: {third[:, x].mean():.2f} and {third[:, y].mean():.2f}")
for v, mean, low, high in zip(unit, held.mean, held.low, held.high, strict=True):
    bands = "   ".join(f"{m:.2f} ({a:.2f} to {b:.2f})" for m, a, b in zip(mean, low, high, strict=True))
    print(f"{v[0]:+.2f} {v[1]:+.2f}   {bands}")
print(
    f"hypervolume by the rater left out {held.hypervolume:.3f} ({held.hypervolume_low:.3f} to "
    f"{held.hypervolume_high:.3f}); by the regression's own scores {own.hypervolume:.3f}"
)
