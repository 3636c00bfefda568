"""The wheel works in a bare environment, without extras and outside the source tree."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

SMALL_FIT = """
import pluralism as pl
from pluralism.data.simulate import simulate_mixture

drawn = simulate_mixture(n_users=40, n_groups=2, n_items=60, dim=4, pairs_per_user=20, rng=0)
train, test = drawn.comparisons.split(test=0.2, by="pair", rng=0)
model = pl.models.MixtureBradleyTerry(n_groups=2, rng=0).fit(train)
model.save("run")
assert pl.evaluate(pl.load("run"), test).accuracy > 0.6
"""


def run(*command: object, folder: Path) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=folder, timeout=1200)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, repository, folder=folder)
    (built,) = folder.glob("pluralism-*.whl")
    return built


@pytest.mark.slow
def test_the_wheel_holds_code_recipes_and_licence_only(wheel: Path, repository: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    recipes = {f"pluralism/_recipes/{path.name}" for path in (repository / "models").iterdir() if path.is_file()}
    assert recipes and recipes <= names
    interviews = {path.relative_to(repository) for path in (repository / "elicitation").rglob("*") if path.is_file()}
    assert interviews and {f"pluralism/_{path.as_posix()}" for path in interviews} <= names
    assert "pluralism/py.typed" in names
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"pluralism"}
    sources = (
        path for path in (repository / "pluralism").rglob("*") if path.is_file() and "__pycache__" not in path.parts
    )
    assert {path.relative_to(repository).as_posix() for path in sources} <= names


@pytest.mark.slow
def test_a_bare_environment_fits_a_model(wheel: Path, repository: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", tmp_path / "bare", folder=tmp_path)
    python = tmp_path / "bare" / "bin" / "python"
    install = [python, "-m", "pip", "-qq", "--disable-pip-version-check", "--no-input", "install"]
    run(*install, "--constraint", repository / "constraints.txt", wheel, folder=tmp_path)
    assert "transformers" not in run(python, "-m", "pip", "list", folder=tmp_path)
    run(python, "-c", SMALL_FIT, folder=tmp_path)
    assert "pluralism demo" in run(python.with_name("pluralism"), "demo", "--help", folder=tmp_path)
    recipe = run(python.with_name("pluralism"), "fit", "--help", folder=tmp_path)
    assert "--model" in recipe
