"""
All models on all data sets
===========================

Every recipe that can take the data, beside the baselines of length alone and items alone, on seven real data sets, with
seen and unseen users apart. Differences are paired over users (over prompts where nobody knows who judged); a model is
marked only where it beats every other by more than chance. Where nothing beats one reward for everybody, the table says
so.

Run with ``python examples/compare_models.py SET ...`` (all by default, about a quarter of an hour); the data folder is
``$PLURALISM_DATA``, or ``../shared/data`` beside the source tree. ``MODELS=bt,maxmin`` compares these recipes alone.
"""

# %%
# Data sets
# ---------
import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

import pluralism as pl
from pluralism.errors import PluralismError
from pluralism.models.recipes import model_from_recipe

DATA = Path(os.environ.get("PLURALISM_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
if not DATA.is_dir():
    print(f"This study needs {DATA}; set PLURALISM_DATA to the folder of the data sets.")
    sys.exit(0)
warnings.simplefilter("ignore")
CACHE = pl.embeddings.default_cache()


def table(name):
    return pq.read_table(DATA / f"{name}.parquet").to_pandas()


def frame(**columns):
    return {name: list(values) for name, values in columns.items()}


def ukp_convarg():
    """Arguments: workers with at least twenty judgements, a fifth of each one's rows held out."""
    arguments = table("ukp_convarg/arguments")
    ids = arguments["topic"] + "/" + arguments["arg_id"].astype(str)
    encoded = pl.Items.from_texts(list(arguments["text"]), ids=list(ids)).embed("minilm", cache=CACHE)
    items = pl.Items(ids=list(ids), texts=list(arguments["text"]), prompts=list(arguments["debate"]))
    items = items.with_features(encoded.features, encoded.feature_space)
    rows = table("ukp_convarg/comparisons").merge(table("ukp_convarg/pairs")[["pair_id", "topic", "arg_a", "arg_b"]])
    rows = rows[rows.groupby("user_id")["pair_id"].transform("size") >= 20]
    outcome = rows["choice"].map({"a1": 1.0, "a2": 0.0, "equal": 0.5})
    left, right = (rows["topic"] + "/" + rows[arg].astype(str) for arg in ("arg_a", "arg_b"))
    data = pl.Comparisons.from_frame(
        frame(user=rows["user_id"].astype(str), left=left, right=right, outcome=outcome), items=items
    )
    train, test = data.split(test=0.2, by="row", rng=0)
    newcomers = np.random.default_rng(0).permutation(data.n_users)[:60]
    return train.take(~np.isin(train.user, newcomers)), test.concat(train.take(np.isin(train.user, newcomers)))


def anthropic_personas():
    """Two opposed views at 10:1 that share two fifths of what they judge; twenty answers each; 44 unseen users."""
    statements = table("anthropic_personas/statements")
    statements = statements[statements["persona"].isin(["politically-liberal", "interest-in-science"])]
    ids = statements["persona"] + "/" + statements["row"].astype(str)
    items = pl.Items.from_texts(list(statements["statement"]), ids=list(ids)).embed("minilm", cache=CACHE)
    shared = (statements["persona"] == "interest-in-science").to_numpy()
    yes = (statements["answer_matching"] == "Yes").to_numpy()
    rng = np.random.default_rng(0)
    held_out = rng.random(len(items)) < 0.25
    minority = np.arange(264) % 11 == 10

    def judged(users, answers, pool):
        user = np.repeat(users, answers)
        common = rng.random(len(user)) < 0.4

        def draw(wanted):
            own, both = (np.flatnonzero(pool & (yes == wanted) & (shared == kind)) for kind in (False, True))
            return np.where(common, rng.choice(both, len(user)), rng.choice(own, len(user)))

        first = rng.random(len(user)) < 0.5
        a, b = draw(True), draw(False)
        return pl.Comparisons.from_arrays(
            np.where(first, a, b),
            np.where(first, b, a),
            user=[f"u{u}" for u in user],
            outcome=(first == (common | ~minority[user])).astype(float),
            group=["minority" if m else "majority" for m in minority[user]],
            items=items,
        )

    seen, unseen = np.arange(220), np.arange(220, 264)
    return judged(seen, 20, ~held_out), judged(seen, 20, held_out).concat(judged(unseen, 40, held_out))


def polis():
    """One conversation (biodiversity): votes, the last fifth of each person's held out; forty people unseen."""
    votes = table("polis/votes")
    votes = votes[votes["conversation"] == "scoop-hivemind.biodiversity"].sort_values("timestamp", kind="stable")
    votes = votes.drop_duplicates(["participant_id", "comment_id"], keep="last")
    votes = votes[votes["vote"] != 0]
    total = votes.groupby("participant_id")["vote"].transform("size")
    held = (votes.groupby("participant_id").cumcount() >= np.ceil(0.8 * total))[total >= 5].to_numpy()
    votes = votes[total >= 5]
    comments = table("polis/comments")
    comments = comments[comments["conversation"] == "scoop-hivemind.biodiversity"]
    items = pl.Items.from_texts(list(comments["text"]), ids=list(comments["comment_id"].astype(str)))
    columns = frame(
        user=votes["participant_id"].astype(str),
        item=votes["comment_id"].astype(str),
        value=votes["vote"].astype(float),
    )
    ratings = pl.Ratings.from_frame(columns, items=items.embed("minilm", cache=CACHE), scale=(-1, 1))
    data = ratings.to_votes()
    many = np.flatnonzero(np.bincount(data.user) >= 30)
    unseen = np.isin(data.user, np.random.default_rng(0).permutation(many)[:40])
    return data.take(~held & ~unseen), data.take(held | unseen)


def dices():
    """Safe or unsafe, by 123 raters of 350 conversations; a fifth of each one's ratings held out; 20 raters unseen."""
    rows = table("dices/ratings_350")
    rows = rows[rows["label"] != "Unsure"]
    texts = table("dices/items_350")
    text = texts["context"].fillna("") + "\n" + texts["response"].fillna("")
    items = pl.Items.from_texts(list(text), ids=list(texts["item_id"].astype(str))).embed("minilm", cache=CACHE)
    value = (rows["label"] == "No").astype(float)
    columns = frame(user=rows["rater_id"].astype(str), item=rows["item_id"].astype(str), value=value)
    data = pl.Ratings.from_frame(columns, items=items, scale=(0, 1)).to_votes()
    train, test = data.split(test=0.2, by="row", rng=0)
    newcomers = np.random.default_rng(0).permutation(data.n_users)[:20]
    return train.take(~np.isin(train.user, newcomers)), test.concat(train.take(np.isin(train.user, newcomers)))


def finegrained_qa_feedback():
    """Four answers to each question, all six pairs; who judged is not known. A fifth of the questions held out."""
    prompts = table("finegrained_qa_feedback/prompts").set_index("prompt_id")
    rows = table("finegrained_qa_feedback/comparisons")
    ids = [f"{p}/{r}" for p in prompts.index for r in "1234"]
    texts = [prompts.loc[p, f"response_{r}"] for p in prompts.index for r in "1234"]
    items = pl.Items(ids=ids, texts=texts, prompts=[prompts.loc[p, "prompt"] for p in prompts.index for _ in "1234"])
    left, right = (
        rows["prompt_id"].astype(str) + "/" + rows[side].astype(str) for side in ("response_a", "response_b")
    )
    outcome = rows["choice"].map({"a": 1.0, "b": 0.0, "tie": 0.5})
    columns = frame(user=rows["prompt_id"].astype(str), left=left, right=right, outcome=outcome)
    data = pl.Comparisons.from_frame(columns, items=items.embed("minilm", cache=CACHE))
    return data.split(test=0.2, by="prompt", rng=0)


def recipe_human_eval():
    """Overall ratings of 52 recipes, as votes; positions in the list stand for raters, a fifth of the rows held out."""
    texts = table("recipe_human_eval/items")
    items = pl.Items.from_texts(list(texts["text"]), ids=list(texts["item_id"].astype(str))).embed(
        "minilm", cache=CACHE
    )
    rows = table("recipe_human_eval/ratings")
    rows = rows[rows["attribute"] == "overall"]
    columns = frame(user=rows["slot"].astype(str), item=rows["item_id"].astype(str), value=rows["rating"].astype(float))
    return pl.Ratings.from_frame(columns, items=items, scale=(1, 6)).to_votes().split(test=0.2, by="row", rng=0)


def hhh_alignment():
    """221 pairs of four objectives; half of them held out, the objective in the place of the user."""
    rows = table("hhh_alignment/pairs")
    left = np.random.default_rng(0).random(len(rows)) < 0.5
    columns = frame(
        user=rows["category"],
        group=rows["category"],
        prompt=rows["prompt"],
        left=np.where(left, rows["chosen"], rows["rejected"]),
        right=np.where(left, rows["rejected"], rows["chosen"]),
        outcome=left.astype(float),
    )
    return pl.Comparisons.from_frame(columns).embed("minilm", cache=CACHE).split(test=0.5, by="prompt", rng=0)


# %%
# Models
# ------
# Recipes with their own settings, but for what would take too long here. Known users need more than one answer each.
PEOPLE = ("maxmin", "bayes-mixture", "shared-private", "pal-a", "lore", "per-user", "vpl")
VOTES = ("binary", "ideal-points")
BASELINES = ("length", "items", "bt", "bt + length")
CHANGES = {
    "maxmin": {"max_groups": 4, "n_init": 2},
    "pal-a": {"n_prototypes": 3, "concentration": 1.0},
    "pal-b": {"n_prototypes": 3, "concentration": 1.0},
    "lore": {"rank": 3, "concentration": 1.0},
}
SETS = {
    "ukp_convarg": (ukp_convarg, (*BASELINES, *PEOPLE, "pal-b", "ordinal", "general")),
    "anthropic_personas": (anthropic_personas, (*BASELINES, *PEOPLE, "general")),
    "polis": (polis, (*BASELINES, *VOTES, *PEOPLE)),
    "dices": (dices, (*BASELINES, *VOTES, *PEOPLE)),
    "finegrained_qa_feedback": (
        finegrained_qa_feedback,
        (*BASELINES, "general", "ensemble"),
    ),
    "recipe_human_eval": (recipe_human_eval, (*BASELINES, *VOTES, "maxmin", "per-user")),
    "hhh_alignment": (hhh_alignment, (*BASELINES, "maxmin", "shared-private", "per-user")),
}


def build(name):
    recipe, _, more = name.partition(" + ")
    settings = {"covariates": (more,)} if more else {}
    return model_from_recipe(recipe, rng=0, **settings, **CHANGES.get(recipe, {}))


def study(name):
    make, models = SETS[name]
    chosen = os.environ.get("MODELS")
    train, test = make()
    print(f"\n## {name}\n\n{make.__doc__}\n{len(train):,} judgements by {len(np.unique(train.user)):,} users to fit.\n")
    fitted = {}
    for model in chosen.split(",") if chosen else models:
        started = time.perf_counter()
        try:
            fitted[model] = build(model).fit(train)
            print(f"  {model}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
        except PluralismError as error:
            print(f"- {model}: {error.what}")
    found = pl.compare(fitted, train, test, reference="bt" if "bt" in fitted else None, refit=False, rng=0)
    shots = next((row.few_shot.shots for row in found.rows if row.few_shot), ())
    head = ["model", "groups", "accuracy", "NLL", "ECE (if calibrated)", "worst group", "less bt (95 %)"]
    head += [f"{s} answers" for s in shots]
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in found.rows:
        e, (d, low, high) = row.evaluation, row.differences["nll"]
        star = ["*" if metric in row.best else "" for metric in ("accuracy", "nll")]
        cells = [row.name, str(row.n_groups), f"{e.accuracy:.3f}{star[0]}", f"{e.nll:.3f}{star[1]}"]
        cells += [f"{e.ece:.3f} ({e.ece_null_low:.3f} to {e.ece_null_high:.3f})", f"{e.worst_group_accuracy:.3f}"]
        cells += ["" if row.name == found.reference else f"{d:+.3f} ({low:+.3f} to {high:+.3f})"]
        if row.few_shot:
            cells += [f"{n:.3f}" for n in row.few_shot.nll]
        print("| " + " | ".join(cells) + " |")
    print(f"\n{found.found}", flush=True)


for wanted in sys.argv[1:] or SETS:
    if wanted not in SETS:
        sys.exit(f"There is no set {wanted!r}; choose among {', '.join(SETS)}.")
    study(wanted)
