"""What is no model is refused at once, and nothing is looked up on the hub for it."""

from __future__ import annotations

import pytest

from pluralism.errors import LanguageModelError
from pluralism.policy.lm.model_place import check_place


def test_folders_of_models_and_names_on_the_hub_pass(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    check_place(tmp_path)
    check_place("gpt2")
    check_place("organisation/name")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("file.json", "is a file"),
        ("empty", "no config.json"),
        ("adapter", "holds an adapter"),
        ("missing", "no folder"),
    ],
)
def test_other_places_are_refused(tmp_path, name, says):
    (tmp_path / "file.json").write_text("{}")
    (tmp_path / "empty").mkdir()
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    with pytest.raises(LanguageModelError, match=says):
        check_place(tmp_path / name)
