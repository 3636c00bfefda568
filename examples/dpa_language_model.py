"""
One language model for every direction
======================================

Directional preference alignment makes one model that is told, in its system message, how much of each attribute is
wanted: here warmth, and verbosity with a weight of either sign. The start is a tiny model trained from nothing on the
built-in corpus, which follows directions a little. In each round it answers eight times, told a direction, and learns
from the best answer by it. Does what is said follow the direction? And does the front of the trained model lie beyond
its start?

The warmth that answers are chosen by is learnt from the ratings of half of the questions; the warmth that rounds are
judged by, from those of the other half, and on questions that no round has trained on.

Run with ``python examples/dpa_language_model.py [FOLDER]``; a killed run goes on in the same folder. It needs the extra
``lm``.
"""

# %%
# Answers and their attributes
# ----------------------------
import re
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

import pluralism as pl
from pluralism.data.demo import AXES, demo_axes, demo_items
from pluralism.errors import PluralismWarning
from pluralism.policy.lm import LanguageModel, train_from_scratch
from pluralism.policy.lm.directional_tuning import DirectionalTuning
from pluralism.policy.lm.recipes import SupervisedTuning
from pluralism.solvers.sphere import cone_directions

warnings.simplefilter("ignore", PluralismWarning)
warnings.simplefilter("ignore", FutureWarning)
begun = time.perf_counter()
folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
ENCODER = "hash:512"

items = demo_items()
prompts = items.prompts.to_pylist()
# the first three sentences, so that a tiny model learns to write them in seconds
texts = [" ".join(re.split(r"(?<=[.!?]) ", text)[:3]) for text in items.texts.to_pylist()]
sides = demo_axes()
axes = np.stack([sides[axis] for axis in AXES], axis=1).astype(float)
questions = list(dict.fromkeys(prompts))
place = np.array([questions.index(prompt) for prompt in prompts])


def warmth_model(known):
    """Attributes as ridge regressions on the ratings of some answers."""
    rows = np.flatnonzero(known)
    rated = pl.Items(ids=[str(k) for k in rows], texts=[texts[k] for k in rows]).embed(ENCODER)
    item, attribute = np.divmod(np.arange(len(rows) * len(AXES)), len(AXES))
    values = axes[rows].ravel()
    ratings = pl.Ratings(rated, ["corpus"], np.zeros(len(item), int), item, values, attribute, list(AXES))
    return pl.models.DirectionalReward().fit(ratings)


def scorer(model):
    """Warmth by the model, and the number of words."""

    def score(prompts, responses):
        said = [text if text.strip() else "(nothing)" for text in responses]
        given = pl.Items(ids=[str(k) for k in range(len(said))], texts=said).embed(ENCODER)
        warm = model.attribute_scores(given)[:, AXES.index("warm")]
        return np.stack([warm, [float(len(text.split())) for text in responses]], axis=1)

    return score


half = place % 2 == 0
score, judge = scorer(warmth_model(half)), scorer(warmth_model(~half))
for name, each, other in (("chosen by", score, ~half), ("judged by", judge, half)):
    rows = np.flatnonzero(other)
    found = each([prompts[k] for k in rows], [texts[k] for k in rows])[:, 0]
    correlation = np.corrcoef(found, axes[rows, AXES.index("warm")])[0, 1]
    print(f"warmth that answers are {name}: correlation {correlation:.2f} with the ratings of questions left out")

# %%
# A start that follows directions a little
# ----------------------------------------
# As in the paper, the start has seen directions: for each question and direction it was taught the best of the corpus's
# answers.
recipe = DirectionalTuning(
    attributes=("warmth", "verbosity"),
    n=8,
    n_rounds=2,
    angle=np.deg2rad(75),
    directions_per_prompt=4,
    tuning=SupervisedTuning(learning_rate=1e-3, max_steps=60, batch_size=16, schedule="cosine", log_every=20),
    max_tokens=96,
    samples=4,
)
words = np.array([len(text.split()) for text in texts], dtype=float)
worth = np.stack([axes[:, AXES.index("warm")], (words - words.mean()) / words.std()], axis=1)
asked = np.repeat(np.arange(len(questions)), 16)
told = cone_directions(len(asked), 2, rng=np.random.default_rng(0), centre=recipe.axis, angle=recipe.angle)
own = np.array([np.flatnonzero(place == question) for question in asked])
taught = own[np.arange(len(asked)), np.argmax(np.einsum("rtk,rk->rt", worth[own], told), axis=1)]
if not (folder / "start").exists():
    train_from_scratch(
        [questions[k] for k in asked],
        [texts[k] for k in taught],
        folder / "start",
        systems=[recipe.system_message(v) for v in told],
        steps=400,
        device="cpu",
    )
start = LanguageModel.load(folder / "start", device="cpu", dtype="float32")
print(f"{start}: {time.perf_counter() - begun:.0f} s")

# %%
# Rounds
# ------
trained_on, shown = questions[:44], questions[44:]
run = recipe.run(
    start,
    trained_on,
    score,
    folder / "run",
    evaluation=shown,
    judge=judge,
    progress=lambda what: print(f"{time.perf_counter() - begun:4.0f} s  {what}", file=sys.stderr),
)
print(
    f"\n{len(shown)} questions that no round has trained on; attributes in standard deviations of the start's answers"
)
print(run)
for name in run.attributes:
    for number in (0, run.n_rounds):
        print(f"round {number}  {run.trend(name, round=number)}")

print("\nlast round: angle, warmth, verbosity (95%), length")
mean, front = run.taken[-1].mean(axis=1), run.fronts[-1]
for k, v in enumerate(run.directions):
    bands = "   ".join(f"{front.mean[k, j]:+.2f} ({front.low[k, j]:+.2f} to {front.high[k, j]:+.2f})" for j in (0, 1))
    print(f"{np.rad2deg(np.arctan2(v[1], v[0])):+4.0f}   {bands}   {run.n_tokens[-1, k]:.0f} tokens")

# %%
# What it says
# ------------
model = run.model()
for v in ([1.0, -1.0], [1.0, 1.0]):
    said = model.generate(shown[:2], max_tokens=96, system=recipe.system_message(v), rng=1)
    for question, text in zip(shown[:2], said.texts, strict=True):
        print(f"\nverbosity {v[1]:+.0f}: {question}\n  {text}")
print(f"\n{time.process_time():.0f} s of a processor")
