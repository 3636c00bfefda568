"""Optional dependencies: a missing one is named, a broken one is not hidden."""

from __future__ import annotations

import sys

import pytest

from pluralism.errors import MissingExtraError
from pluralism.extras import require


def test_a_module_that_is_there_is_given():
    assert require("json.decoder", extra="x", purpose="This").JSONDecoder


@pytest.mark.parametrize("name", ["not_installed_anywhere", "not_installed_anywhere.inside", "json.not_inside"])
def test_a_missing_module_is_named_with_the_line_that_installs_it(name):
    with pytest.raises(MissingExtraError, match="This part") as caught:
        require(name, extra="embed", purpose="This part")
    assert caught.value.fix == "pip install 'pluralism[embed]'"


def test_a_module_that_breaks_on_import_raises_its_own_error(tmp_path, monkeypatch):
    (tmp_path / "broken_inside.py").write_text("import also_not_installed_anywhere\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="also_not_installed") as caught:
        require("broken_inside", extra="embed", purpose="This")
    assert not isinstance(caught.value, MissingExtraError)
    sys.modules.pop("broken_inside", None)
