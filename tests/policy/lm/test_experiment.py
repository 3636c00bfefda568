"""The experiment: what it finds, what it keeps on disk, and that a kill costs no finished cell."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import plain_conditioners as plain
import pytest
import torch

import pluralism.policy.lm.experiment_cells as cells
from pluralism.data.simulate import simulate_mixture
from pluralism.errors import DataError, ModelFileError, UsageError
from pluralism.models import BradleyTerry
from pluralism.policy.lm.adapter_settings import Lora
from pluralism.policy.lm.adapters import Adapter
from pluralism.policy.lm.conditioning.best_of_n import BestOfN, WelfareBestOfN
from pluralism.policy.lm.conditioning.single_policy import SinglePolicy
from pluralism.policy.lm.experiment import REFERENCE
from pluralism.policy.lm.experiment_facts import facts_for, facts_of
from pluralism.policy.lm.experiment_run import condition


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return plain.run(tmp_path_factory.mktemp("experiment") / "out")


def test_groups_prefer_what_was_made_for_them(found):
    scores = found.scores
    assert scores.conditions[:3] == ("leaning/a", "leaning/b", "leaning/c")
    assert scores.made_for.tolist() == [0, 1, 2, 0, 1, 2, -1]
    for method in ("leaning", "best of 4"):
        assert scores.diagonal(method).p < 1e-4
        assert scores.diagonal(method).group_p.max() < 0.01
    np.testing.assert_allclose(scores.shares, [0.5, 0.3, 0.2])
    assert abs(scores.mean[-1] - 0.5) < 0.1


def test_kl_is_that_of_the_words(found):
    weights = plain.Leaning().chances("a")
    exact = plain.LENGTH * float(weights @ np.log(weights / 0.25))
    for group in plain.GROUPS:
        kl = found.facts_of(f"leaning/{group}").kl
        assert kl.value == pytest.approx(exact, abs=4 * kl.standard_error + 0.2)
        assert kl.per_token == pytest.approx(kl.value / plain.LENGTH)
    assert found.facts_of(REFERENCE).kl.value == 0.0
    best = found.facts_of("best of 4/a")
    assert best.kl is None
    assert best.kl_bound == pytest.approx(np.log(4) - 3 / 4)


def test_tables_and_text(found):
    table = found.to_frame().to_pylist()
    assert [row["condition"] for row in table] == [REFERENCE, *found.scores.conditions]
    assert table[0]["n_words"] == plain.LENGTH
    assert table[1]["made_for"] == "a"
    responses = found.responses_frame()
    assert responses.num_rows == 8 * len(plain.PROMPTS) * 4
    first = found.responses["leaning/a"]
    assert responses.to_pylist()[len(plain.PROMPTS) * 4]["text"] == first.of_prompt(0)[0]
    assert json.loads(found.to_json())["judge"] == "counting words"
    assert "leaning/a" in repr(found)
    assert any("few" in note for note in found.notes)


def test_a_second_run_generates_nothing(tmp_path, found):
    log = tmp_path / "log"
    again = plain.run(tmp_path / "out", conditioners=[plain.Leaning(log=log)])
    lines = log.read_text().splitlines()
    assert len(lines) == 3 * 4
    more = plain.run(tmp_path / "out", conditioners=[plain.Leaning(log=log), plain.Leaning(2.0, name="more", log=log)])
    assert len(log.read_text().splitlines()) == 2 * len(lines)
    for group in plain.GROUPS:
        assert more.responses[f"leaning/{group}"].texts == again.responses[f"leaning/{group}"].texts
        # the same as in a folder in which other conditions were generated too
        assert found.responses[f"leaning/{group}"].texts == again.responses[f"leaning/{group}"].texts


def test_a_folder_belongs_to_its_settings(tmp_path):
    plain.run(tmp_path / "out")
    with pytest.raises(UsageError, match=r"sampling\.samples was 4 and is 5"):
        plain.run(tmp_path / "out", samples=5)
    with pytest.raises(UsageError, match=r"strength was 1\.0 and is 3\.0"):
        plain.run(tmp_path / "out", conditioners=[plain.Leaning(3.0)])
    with pytest.raises(UsageError, match="seed"):
        plain.run(tmp_path / "out", rng=1)
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds no experiment"):
        plain.run(other)
    with pytest.raises(UsageError, match="is a file"):
        plain.run(other / "notes.txt")
    (tmp_path / "out" / cells.RECORD).write_text("{")
    with pytest.raises(ModelFileError, match="cannot be read"):
        plain.run(tmp_path / "out")


def best_of(groups):
    model = plain.PlainModel()
    rewards = {group: plain.count_word(plain.WORDS[k]) for k, group in enumerate(groups)}
    return BestOfN(SinglePolicy(model, groups), rewards, 4)


def test_a_group_can_join(tmp_path):
    few = plain.run(tmp_path / "out", conditioners=[best_of(("a", "b"))])
    stamps = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out" / cells.CELLS).iterdir()}
    every = plain.run(tmp_path / "out", conditioners=[best_of(plain.GROUPS)])
    later = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out" / cells.CELLS).iterdir()}
    assert stamps.items() <= later.items()
    assert len(later) - len(stamps) == 4
    assert few.scores.diagonals == ()
    assert len(every.scores.diagonals) == 1
    for name in few.responses:
        assert every.responses[name].texts == few.responses[name].texts
    with pytest.raises(UsageError, match=r"conditioner best of 4/a\.n was 4 and is 5"):
        plain.run(tmp_path / "out", conditioners=[dataclasses.replace(best_of(("a",)), n=5, name="best of 4")])


def test_what_a_group_depends_on_without_others():
    best = best_of(plain.GROUPS)
    assert facts_for(best, "a")["rewards"] == facts_of(best.rewards["a"])
    assert facts_for(best, "a") == facts_for(best_of(("a",)), "a")
    # one answer for everybody depends on what everybody wants
    fair = WelfareBestOfN(best.base, best.rewards, 4)
    assert set(facts_for(fair, "a")["rewards"]) == set(plain.GROUPS)
    assert facts_for(plain.Leaning(), "a") == facts_of(plain.Leaning())


def test_a_condition_that_fails_leaves_no_facts(tmp_path):
    class Failing(plain.Leaning):
        def generate(self, prompts, group, **options):
            raise UsageError("max_tokens is too much.", fix="Ask for less.")

    with pytest.raises(UsageError, match="too much"):
        plain.run(tmp_path / "out", conditioners=[Failing(9.0, name="more")])
    mended = plain.run(tmp_path / "out", conditioners=[plain.Leaning(2.0, name="more")])
    assert "more/a" in mended.responses
    with pytest.raises(UsageError, match=r"prompts\.number was 11 and is 10"):
        plain.run(tmp_path / "out", prompts=plain.PROMPTS[:-1])


def test_a_damaged_cell_is_made_again(tmp_path, caplog):
    first = plain.run(tmp_path / "out")
    victim = next((tmp_path / "out" / cells.CELLS).iterdir())
    victim.write_bytes(victim.read_bytes()[:-5])
    again = plain.run(tmp_path / "out")
    assert all(again.responses[name].texts == first.responses[name].texts for name in first.responses)
    assert "damaged" in caplog.text


def test_no_kl_where_the_tail_was_cut(tmp_path):
    found = plain.run(tmp_path / "out", temperature=0.7)
    assert all(facts.kl is None for facts in found.facts)
    assert np.isnan(found.facts[1].kl_known)
    assert "KL is not estimated" in found.notes[0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"prompts": ["one"]}, "two prompts"),
        ({"prompts": ["one", "one"]}, "twice"),
        ({"samples": 0}, "samples=0"),
        ({"temperature": np.inf}, "temperature=inf"),
        ({"top_p": 0.0}, "top_p=0.0"),
        ({"conditioners": [plain.Leaning(), plain.Leaning()]}, "Two policies"),
        ({"conditioners": [plain.Leaning(name=REFERENCE)]}, "Two policies"),
        ({"conditioners": [plain.Leaning(groups=("a", "x"))]}, "'x', for whom nobody judges"),
        ({"conditioners": []}, "nothing to compare"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path, change, says):
    given = {"conditioners": [plain.Leaning()], "prompts": plain.PROMPTS} | change
    with pytest.raises(UsageError) as caught:
        condition(
            plain.PlainModel(),
            given.pop("conditioners"),
            plain.WordJudge(),
            given.pop("prompts"),
            folder=tmp_path / "out",
            optimised=(),
            **given,
        )
    assert says in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_an_optimised_judge_is_refused_before_anything_is_written(tmp_path):
    data = simulate_mixture(n_users=8, n_groups=1, n_items=10, dim=2, rng=0).comparisons
    model = BradleyTerry(ridge=1.0, item_effects=False).fit(data)

    class Judge(plain.WordJudge):
        pass

    judge = Judge()
    object.__setattr__(judge, "model", model)
    with pytest.raises(DataError, match="the model that was optimised"):
        condition(
            plain.PlainModel(), [plain.Leaning()], judge, plain.PROMPTS, folder=tmp_path / "out", optimised=[model]
        )
    assert not (tmp_path / "out").exists()


def test_conditioners_are_known_by_what_they_are_made_of():
    assert facts_of(plain.Leaning(2.0)) == {
        "class": "Leaning",
        "strength": 2.0,
        "name": "leaning",
        "groups": list(plain.GROUPS),
        "log": None,
        "seconds": 0.0,
    }
    one = np.arange(1.0, 4.0)
    assert facts_of({"v": one}) == facts_of({"v": one * (1 + 1e-13)}) != facts_of({"v": one + 1e-3})
    assert facts_of(np.arange(3)) != facts_of(np.arange(1, 4))
    assert facts_of(lambda: 0) == {"class": "function"}


@pytest.mark.slow
def test_a_kill_at_any_moment_costs_no_finished_cell(tmp_path):
    folder, log = tmp_path / "out", tmp_path / "log"
    code = Path(plain.__file__)
    command = [sys.executable, str(code), str(folder), str(log), "0.05"]
    moments = random.Random(0)
    store = None
    stored: set[str] = set()
    kills = 0
    while kills < 4:
        before = len(log.read_text().splitlines()) if log.exists() else 0
        process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(code.parent)})
        while process.poll() is None and (not log.exists() or len(log.read_text().splitlines()) <= before + 1):
            time.sleep(0.01)
        time.sleep(moments.uniform(0.0, 0.3))
        process.send_signal(signal.SIGKILL)
        finished = process.wait() == 0
        lines = log.read_text().splitlines()[before:]
        # what was whole before this run is not asked for again in it
        assert not stored & {_key(line) for line in lines}
        if finished:
            break
        kills += 1
        store = cells.CellStore(folder, {})
        stored = {key for key in map(_key, log.read_text().splitlines()) if store.has(key)}
    assert stored
    last = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(code.parent)}, check=True, capture_output=True)
    assert last.returncode == 0
    whole = plain.run(tmp_path / "whole", conditioners=[plain.Leaning(), plain.Leaning(2.0, name="more")])
    for name in whole.responses:
        for block in range(4):
            kept, fresh = (
                cells.CellStore(place, {}).cell(f"{name}/{block}", pytest.fail)
                for place in (folder, tmp_path / "whole")
            )
            assert kept.texts == fresh.texts


def _key(line):
    """The key of the cell that a line of the log speaks of."""
    name, prompt = line.split("\t")
    return f"{name}/{plain.PROMPTS.index(prompt) // 3}"


def test_an_adapter_is_known_by_what_it_does_and_not_by_where_its_base_was():
    def adapter(weight=1.0, alpha=4.0):
        return Adapter(Lora(rank=2, alpha=alpha).config(), {"a": torch.full((2, 3), weight)})

    loaded = adapter()
    loaded.config.base_model_name_or_path, loaded.config.inference_mode = "conditioned/base", True
    assert facts_of(loaded) == facts_of(adapter())
    assert facts_of(adapter(alpha=8.0)) != facts_of(adapter()) != facts_of(adapter(2.0))
    assert json.loads(json.dumps(facts_of(loaded))) == facts_of(loaded)
