"""Importing the package is cheap: heavy libraries load when something needs them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

LANGUAGE_MODELS = {"torch", "transformers", "sentence_transformers", "datasets", "openai"}
NUMERICAL = {"networkx", "numba", "numpy", "pandas", "polars", "pyarrow", "scipy", "sklearn"}
# These are wrappers of such a library.
WRAPPERS = ("HuggingFaceEncoder", "SentenceTransformerEncoder", "TransformersChat")
INTERFACE = {"jinja2", "matplotlib", "pydantic", "rich", "typer"}


def loaded_after(statement: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds after running `statement`."""
    listing = "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    code = f"{statement}\nimport json, sys\n{listing}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_import_pluralism_loads_no_library() -> None:
    assert not loaded_after("import pluralism; pluralism.__version__; dir(pluralism)") & (
        LANGUAGE_MODELS | NUMERICAL | INTERFACE
    )


@pytest.mark.parametrize("room", ["data", "calibration", "solvers", "embeddings", "llm", "models", "evaluation"])
def test_a_room_loads_no_language_model_library(room: str) -> None:
    names = f"(name for name in room.__all__ if name not in {WRAPPERS})"
    loaded = loaded_after(f"import pluralism.{room} as room\nfor name in {names}: getattr(room, name)")
    assert not loaded & (LANGUAGE_MODELS | {"matplotlib"})


def test_the_command_line_starts_without_numerical_libraries() -> None:
    assert not loaded_after("import pluralism.cli") & (LANGUAGE_MODELS | NUMERICAL | {"matplotlib"})


def test_unknown_names_are_attribute_errors() -> None:
    import pluralism

    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = pluralism.nonsense
