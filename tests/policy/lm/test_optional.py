"""The extra `lm`: imported when it is needed, named when it is missing, pinned to a minor version."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib

import pytest

import pluralism.policy.lm as lm
from pluralism.errors import MissingExtraError
from pluralism.policy.lm import LanguageModel, Lora, trl_names


def test_importing_the_package_loads_no_language_model_library():
    code = (
        "import json, sys, pluralism\n"
        "lm = pluralism.policy.lm\n"
        "lm.LanguageModel, lm.TextReward, lm.ConditionedPairs, lm.SequenceClassifier, lm.reward_function\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"transformers", "trl", "peft", "accelerate", "datasets"} & set(json.loads(done.stdout))


def test_public_names_are_those_of_the_table():
    assert set(lm.__all__) == set(lm._WHERE)
    for name in lm.__all__:
        assert getattr(lm, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = lm.nonsense


@pytest.mark.parametrize("library", ["trl", "transformers", "accelerate", "datasets", "peft"])
def test_a_missing_library_is_named_with_the_line_that_installs_it(monkeypatch, library, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=library) as caught:
        if library == "transformers":
            LanguageModel.load(tmp_path, device="cpu")
        elif library == "peft":
            Lora().config()
        else:
            trl_names.trl_name("DPOTrainer")
    assert caught.value.fix == "pip install 'pluralism[lm]'"


def test_another_version_of_trl_is_named(monkeypatch):
    monkeypatch.setitem(trl_names.EXPERIMENTAL, "MovedTrainer", "moved_elsewhere")
    for name in ("MovedTrainer", "NoSuchTrainer"):
        with pytest.raises(MissingExtraError, match=f"has no {name}") as caught:
            trl_names.trl_name(name)
        assert caught.value.fix == "pip install 'trl~=1.16.0'"


def test_libraries_that_move_names_are_pinned_to_a_minor_version(repository):
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = project["optional-dependencies"]["lm"]
    assert f"trl~={trl_names.TRL_VERSION}.0" in pinned and any(line.startswith("peft~=0.21.") for line in pinned)
    tested = (repository / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert f"trl=={trl_names.TRL_VERSION}.0" in tested
