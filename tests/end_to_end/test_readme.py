"""The code blocks of README and docs run as they stand.

A page is run from top to bottom in an empty folder: ```` ```python ```` blocks share one namespace (with `>>>` prompts
their output is compared), ```` ```console ```` blocks run the lines that begin with `$ ` and compare the output, if any
is shown. `...` stands for any text. What is only to be looked at carries another label (`text`, `sh`).
"""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
BUILT = {"_build", "gallery", "generated"}
FENCE = re.compile(r"^```(?P<language>python|console)\n(?P<code>.*?)^```$", flags=re.DOTALL | re.MULTILINE)
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
PAGES = [
    page
    for page in [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
    if not {"_build", "gallery", "generated"}.intersection(page.parts)
    and FENCE.search(page.read_text(encoding="utf-8"))
]


def run_python(code: str, namespace: dict[str, object], where: str) -> None:
    if not code.lstrip().startswith(">>>"):
        exec(compile(code, where, "exec"), namespace)
        return
    examples = doctest.DocTestParser().get_doctest(code, namespace, where, where, 0)
    examples.globs = namespace
    report: list[str] = []
    doctest.DocTestRunner(optionflags=OPTIONS).run(examples, out=report.append, clear_globs=False)
    assert not report, "".join(report)


def run_console(code: str, where: str) -> None:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "100",
    }
    for command, shown in re.findall(r"^\$ ([^\n]*)\n((?:(?!\$ )[^\n]*\n)*)", code, flags=re.MULTILINE):
        done = subprocess.run(command, shell=True, capture_output=True, text=True, env=environment, timeout=300)
        assert done.returncode == 0, f"{where}: {command}\n{done.stdout}\n{done.stderr}"
        if shown.strip():
            match = doctest.OutputChecker().check_output(shown, done.stdout, OPTIONS)
            assert match, f"{where}: {command}\nshown:\n{shown}\nprinted:\n{done.stdout}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_the_blocks_of_a_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = page.read_text(encoding="utf-8")
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in FENCE.finditer(text):
        where = f"{page.name}:{text.count(chr(10), 0, block.start()) + 1}"
        if block["language"] == "python":
            run_python(block["code"], namespace, where)
        else:
            run_console(block["code"], where)


def test_readme_and_quickstart_have_blocks_to_run() -> None:
    assert {"README.md", "docs/quickstart.md"} <= {str(page.relative_to(REPOSITORY)) for page in PAGES}
