"""`pluralism condition`: whom it served by other people's judgement, what it refuses, and that it goes on."""

from __future__ import annotations

import json
import os
import re
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import tiny_lm as models

import pluralism as pl
from pluralism.cli import main
from pluralism.cli.condition_reading import Study, choose_prompts
from pluralism.data.demo import demo_comparisons, demo_items
from pluralism.policy.lm import train_from_scratch
from pluralism.policy.lm.adapter_bank import AdapterBank
from pluralism.policy.lm.conditioning.steering_vector import SteeringVector

GROUPS = ("Group A", "Group B")
FEW = ["--n-prompts", 6, "--samples", 2, "--max-tokens", 8, "--n", 2, "--bootstrap", 50, "--device", "cpu"]


def fitted(folder, name, rng, prefix=""):
    """A run of two groups on a few raters of the demo, read by the hashing encoder."""
    data = demo_comparisons(n_users=30, pairs_per_user=12, rng=rng).comparisons
    path = folder / f"{name}.parquet"
    table = data.to_arrow(as_ids=False)
    if prefix:
        users = [f"{prefix}{user}" for user in table["user"].to_pylist()]
        table = table.set_column(table.schema.get_field_index("user"), "user", [users])
    pq.write_table(table, path)
    given = ["--encoder", "hash:32", "--cache", folder / "cache", "--groups", 2, "--ridge", 1, "--no-item-effects"]
    assert main([str(part) for part in ["fit", path, *given, "--out", folder / name]]) == 0
    return folder / name


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A folder with a run, a run of other people, and a language model."""
    folder = tmp_path_factory.mktemp("study")
    fitted(folder, "run", 0)
    fitted(folder, "other", 1, prefix="other-")
    models.tiny_lm().save(folder / "lm")
    return folder


def test_whom_best_of_n_serves(call, study, tmp_path):
    out = tmp_path / "out"
    given = ["condition", study / "run", "--model", study / "lm", "--out", out, *FEW]
    result = call(*given, "--json")
    assert result.code == 0, result.err
    found = result.document
    assert found["scores"]["groups"] == list(GROUPS)
    assert found["scores"]["conditions"] == [*(f"best-of-n/{g}" for g in GROUPS), "utilitarian", "maxmin", "nash"]
    assert found["scores"]["diagonals"][0]["method"] == "best-of-n"
    assert found["prompts"] == 6
    assert "others" in found["judge"] or "the other" in found["judge"]
    assert found["conditions"][1]["kl_bound"] == pytest.approx(np.log(2) - 0.5)
    assert {"report.html", "condition.json", "responses.parquet"} <= set(found["files"])
    for rule in ("utilitarian", "maxmin", "nash"):
        assert found["weights"][rule].keys() == set(GROUPS)
        assert sum(found["weights"][rule].values()) == pytest.approx(1)
    assert json.loads((out / "condition.json").read_text()) | {"out": str(out), "files": found["files"]} == found
    responses = pq.read_table(out / "responses.parquet")
    assert responses.num_rows == 6 * 6 * 2
    known = set(pl.load(study / "run").users_.to_pylist())
    halves = [pl.load(out / "rewards" / name).users_.to_pylist() for name in ("optimised", "judge")]
    assert not set(halves[0]) & set(halves[1])
    assert set(halves[0]) | set(halves[1]) == known
    # again: nothing is written anew, and the numbers stay
    cells = {path.name: path.stat().st_mtime_ns for path in (out / "cells").iterdir()}
    shown = call(*given)
    assert shown.code == 0, shown.err
    assert {path.name: path.stat().st_mtime_ns for path in (out / "cells").iterdir()} == cells
    # the test of all groups, and a table that no narrow terminal folds
    assert re.search(r"^best-of-n: own over others .0\.\d\d \(.*\), p ", shown.out, re.MULTILINE)
    assert re.search(r"^judge +for A +for B +own over others +p$", shown.out, re.MULTILINE)
    for text in ("maxmin", "own over others", "KL", f"written to {out}"):
        assert text in shown.out
    # other methods join the folder, for one group
    joined = [*given, "--method", "system", "--method", "examples", "--shots", 1, "--single", "none", "--json"]
    more = call(*joined, "--groups", "B")
    assert more.code == 0, more.err
    assert more.document["scores"]["methods"][:2] == ["system", "examples"]
    assert more.document["scores"]["diagonals"] == []
    cells |= {path.name: path.stat().st_mtime_ns for path in (out / "cells").iterdir()}
    # and then the other: only what is new is generated
    every = call(*joined)
    assert every.code == 0, every.err
    assert [test["method"] for test in every.document["scores"]["diagonals"]] == ["system", "examples"]
    after = {path.name: path.stat().st_mtime_ns for path in (out / "cells").iterdir()}
    assert cells.items() <= after.items()
    assert len(after) == len(cells) + 2


def test_another_run_can_judge(call, study, tmp_path):
    messages = tmp_path / "messages.json"
    messages.write_text(json.dumps({"A": "Answer plainly.", "Group B": "Answer warmly."}))
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("\n".join([*models.PROMPTS, "", models.PROMPTS[0]]))
    given = ["--method", "system", "--messages", messages, "--prompts", prompts, "--single", "none"]
    result = call(
        "condition", study / "run", "--model", study / "lm", "--out", tmp_path / "out", *FEW, *given,
        "--judge", study / "other", "--json",
    )  # fmt: skip
    assert result.code == 0, result.err
    found = result.document
    assert found["prompts"] == len(models.PROMPTS)
    assert "other people" in found["judge"]
    assert re.fullmatch(r"correlation .* −?[01]\.\d\d at least", found["settings"]["agreement of run and judge"])
    assert found["conditions"][1]["kl"]["value"] > 0
    texts = pq.read_table(tmp_path / "out" / "responses.parquet").to_pylist()
    warm = [row["text"] for row in texts if row["condition"] == "system/Group B"]
    plain = [row["text"] for row in texts if row["condition"] == "system/Group A"]
    assert np.mean(["My" in text for text in warm]) > np.mean(["My" in text for text in plain])


@pytest.mark.slow
def test_all_that_is_trained_or_decoded(call, study, tmp_path, monkeypatch):
    names = ("steering", "guided", "adapters", "contrastive", "soup")
    methods = [part for name in names for part in ("--method", name)]
    items = demo_items()
    asked, said = items.prompts.to_pylist()[:20], items.texts.to_pylist()[:20]
    # The corpus's answers are longer than the smallest model reads.
    train_from_scratch(asked, said, tmp_path / "lm", hidden=32, layers=1, positions=2048, steps=5, device="cpu")
    given = ["condition", study / "run", "--model", tmp_path / "lm", "--out", tmp_path / "out", *methods]
    small = ["--n-prompts", 3, "--samples", 1, "--max-tokens", 4, "--n", 2, "--steps", 2, "--rank", 2]
    given += [*small, "--batch-size", 2, "--learning-rate", 0.01, "--single", "maxmin,utilitarian"]
    given += ["--lookahead", 2, "--guidance", 0, "--steering", -2, "--contrast", 3, "--judge-encoder", "hash:16"]
    result = call(*given, "--device", "cpu", "--json")
    assert result.code == 0, result.err
    scores = result.document["scores"]
    assert list(dict.fromkeys(scores["methods"])) == [
        "steering",
        "guided",
        "adapters",
        "contrastive",
        "maxmin",
        "utilitarian",
        "soup maxmin",
        "soup utilitarian",
    ]
    assert "read with hash" in result.document["judge"]
    assert pl.load(tmp_path / "out" / "rewards" / "judge").dim_ == 16
    assert (tmp_path / "out" / "training").is_dir()
    by_name = {facts["condition"]: facts for facts in result.document["conditions"]}
    assert by_name["adapters/Group A"]["kl"]["value"] != 0.0
    assert by_name["contrastive/Group A"]["kl"]["value"] != by_name["adapters/Group A"]["kl"]["value"]
    # without guidance the model is left as it is
    assert by_name["guided/Group A"]["kl"]["value"] == pytest.approx(0, abs=1e-4)
    record = json.loads((tmp_path / "out" / "experiment.json").read_text())["facts"]
    own = {name: record[f"conditioner {name}/Group A"] for name in names if name != "soup"}
    assert (own["guided"]["strength"], own["steering"]["strength"], own["contrastive"]["scale"]) == (0, -2, 3)
    # a run that was killed while it trained goes on, for the folder was claimed before
    shutil.rmtree(tmp_path / "out" / "cells")
    os.remove(tmp_path / "out" / "report.html")
    monkeypatch.setattr(SteeringVector, "from_pairs", lambda *_: pytest.fail("a vector is made once"))
    again = call(*given, "--device", "cpu", "--json")
    assert again.code == 0, again.err
    assert again.document["scores"] == scores


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--method", "magic"], "no method 'magic'"),
        (["--method", "system", "--method", "system"], "comes twice"),
        (["--single", "dictator"], "no rule 'dictator'"),
        (["--method", "soup", "--single", "none"], "weighted by a rule"),
        (["--method", "soup", "--groups", "A"], "serves all groups"),
        (["--method", "adapters", "--beta", "0"], "beta=0.0"),
        (["--guidance", "nan"], "--guidance"),
        (["--steering", "inf"], "--steering"),
        (["--contrast", "-1"], "at least 0"),
        (["--temperature", "inf"], "temperature=inf"),
        (["--messages", "x.json"], "No such file"),
        (["--groups", "C"], "no group 'C'"),
        (["--loss", "hope"], "no loss 'hope'"),
        (["--loss", "pro"], "no loss 'pro' of pairs"),
        (["--loss", "supervised", "--beta", "1"], "no setting 'beta'"),
        (["--judge-encoder", "hash:16", "--judge", "nowhere"], "encoder of its own"),
        (["--judge-encoder", "zap"], "Unknown encoder"),
        (["--encoder", "hash:16"], "was fitted on the space"),
        (["--prompts", "nowhere.txt"], "cannot be read"),
        (["--n", "1"], "--n"),
    ],
)
def test_what_cannot_work_is_refused(call, study, tmp_path, options, says):
    result = call("condition", study / "run", "--model", study / "lm", "--out", tmp_path / "out", *options)
    assert result.code == 2
    assert says in result.err
    assert "Traceback" not in result.err
    # Before anything is trained or generated; the folder is not taken by what cannot work.
    assert not (tmp_path / "out" / "cells").exists()
    assert not (tmp_path / "out" / "training").exists()


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["supervised", "kto"])
def test_losses_of_single_answers_learn_from_the_best_and_the_worst(call, study, tmp_path, monkeypatch, loss):
    seen = []
    train = AdapterBank.train

    def watched(recipe, base, data, *args, **options):
        seen.append((recipe.name, data.kept.tolist(), len(set(zip(data.prompts, data.group.tolist(), strict=True)))))
        return train(recipe, base, data, *args, **options)

    monkeypatch.setattr(AdapterBank, "train", watched)
    items = demo_items()
    asked, said = items.prompts.to_pylist()[:20], items.texts.to_pylist()[:20]
    train_from_scratch(asked, said, tmp_path / "lm", hidden=32, layers=1, positions=2048, steps=5, device="cpu")
    given = ["--method", "adapters", "--loss", loss, "--steps", 1, "--batch-size", 2, "--rank", 2, "--single", "none"]
    given += ["--n-prompts", 2, "--samples", 1, "--max-tokens", 4, "--device", "cpu", "--json"]
    result = call("condition", study / "run", "--model", tmp_path / "lm", "--out", tmp_path / "out", *given)
    assert result.code == 0, result.err
    assert result.document["settings"]["adapters"] == f"{loss}, 1 steps of 2 rows, rank 2"
    ((name, kept, pairs),) = seen
    assert name == loss and sum(kept) == pairs  # one pair for each prompt and group


def test_messages_are_for_groups(call, study, tmp_path):
    given = ["condition", study / "run", "--model", study / "lm", "--out", tmp_path / "out", "--messages"]
    messages = tmp_path / "messages.json"
    for text, says in (
        ('["x"]', "no table"),
        ('{"A": 3}', "'A' is no text"),
        ('{"A": "x"}', "no message for Group B"),
        ('{"A": "x", "B": "y", "Z": "z"}', "'Z', which is no group"),
        ('{"A": "x", "Group A": "z", "B": "y"}', "two messages"),
    ):
        messages.write_text(text)
        refused = call(*given, messages, "--method", "system")
        assert refused.code == 2
        assert says in refused.err
    unused = call(*given, messages)
    assert "method system" in unused.err


def test_prompts_that_only_look_different_are_not_learnt_from(study):
    items = demo_items()
    known = list(dict.fromkeys(items.prompts.to_pylist()))
    shown = Study(None, None, (), [], items, "", {})
    asked, others = choose_prompts([known[0].upper(), f"  {known[1]}  ", "Something else?"], shown, 32, 0)
    assert asked[0] == known[0].upper()
    assert others == tuple(known[2:])


def test_a_folder_of_other_settings_is_refused_before_a_model_is_loaded(call, study, tmp_path):
    given = ["condition", study / "run", "--model", study / "lm", "--out", tmp_path / "out", "--single", "none"]
    assert call(*given, *FEW).code == 0
    for change, says in (
        (["--n-prompts", 5], "prompts.number was 6 and is 5"),
        (["--samples", 3], "sampling.samples was 2 and is 3"),
        (["--seed", 1], "rewards.seed was 0 and is 1"),
    ):
        other = call(*given, *FEW, *change, "--model", tmp_path)
        # the folder of the model is looked at first
        assert "no model" in other.err
        (tmp_path / "config.json").write_text("{}")
        other = call(*given, *FEW, *change, "--model", tmp_path)
        (tmp_path / "config.json").unlink()
        assert other.code == 2
        assert says in other.err


def test_judges_that_were_followed_are_refused(call, study, tmp_path):
    given = ["condition", study / "run", "--model", study / "lm", "--out", tmp_path / "out", "--judge"]
    same = call(*given, study / "run")
    assert same.code == 2
    assert "cannot judge" in same.err
    shutil.copytree(study / "run", tmp_path / "copy")
    copied = call(*given, tmp_path / "copy")
    assert copied.code == 2
    assert "the model that was optimised" in copied.err
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_left_alone(call, study, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    result = call("condition", study / "run", "--model", study / "lm", "--out", tmp_path / "mine")
    assert result.code == 2
    assert "holds no experiment" in result.err
    missing = call("condition", study / "run", "--model", tmp_path / "nothing", "--out", tmp_path / "out")
    assert missing.code == 2
    assert "no folder" in missing.err
    assert not (tmp_path / "out").exists()
