"""The source tree keeps the rules that no linter holds."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
CODE = ("pluralism", "tests", "examples", "benchmarks", "docs")
TEXT_SUFFIXES = {".py", ".md", ".rst", ".toml", ".txt", ".yaml", ".yml", ".jsonl", ".html", ".css", ".j2", ""}
BUILT = {"_build", "gallery", "generated", "__pycache__"}
LINES = 450


def files(*roots: str) -> Iterator[Path]:
    for root in roots:
        for path in sorted((REPOSITORY / root).rglob("*")):
            if path.is_file() and not BUILT.intersection(path.relative_to(REPOSITORY).parts):
                yield path


def python_files(*roots: str) -> Iterator[Path]:
    return (path for path in files(*roots) if path.suffix == ".py")


def place(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(REPOSITORY)}:{getattr(node, 'lineno', 1)}"


def dotted(node: ast.expr) -> str:
    """`a.b.c` for a chain of attributes, else the empty string."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (base := dotted(node.value)):
        return f"{base}.{node.attr}"
    return ""


def imported(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.level == 0:
        return {(node.module or "").partition(".")[0]}
    return set()


def library_nodes() -> Iterator[tuple[Path, ast.AST]]:
    for path in python_files("pluralism"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            yield path, node


def test_no_file_is_too_long() -> None:
    long = [str(p.relative_to(REPOSITORY)) for p in python_files(*CODE) if len(p.read_text().splitlines()) > LINES]
    assert not long


def test_nothing_unpickles_or_evaluates() -> None:
    unsafe = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
    found = []
    for path, node in library_nodes():
        if imported(node) & unsafe:
            found.append(f"{place(path, node)} imports {imported(node) & unsafe}")
        if not isinstance(node, ast.Call):
            continue
        name, keywords = dotted(node.func), {k.arg: getattr(k.value, "value", None) for k in node.keywords}
        if name in {"eval", "exec", "os.system"} or name.endswith("read_pickle"):
            found.append(f"{place(path, node)} calls {name}")
        if name == "torch.load" and keywords.get("weights_only") is not True:
            found.append(f"{place(path, node)} calls torch.load without weights_only=True")
        if keywords.get("allow_pickle") or keywords.get("trust_remote_code") or keywords.get("shell"):
            found.append(f"{place(path, node)} calls {name} with {keywords}")
    assert not found


def test_the_library_neither_prints_nor_asserts_nor_swallows() -> None:
    found = []
    for path, node in library_nodes():
        bare = isinstance(node, ast.ExceptHandler) and (node.type is None or isinstance(node.body[0], ast.Pass))
        printing = isinstance(node, ast.Call) and dotted(node.func) == "print"
        if bare or printing or isinstance(node, ast.Assert):
            found.append(f"{place(path, node)} {type(node).__name__}")
    assert not found


def test_randomness_comes_in_as_an_argument() -> None:
    generators = {"default_rng", "Generator", "SeedSequence", "PCG64", "Philox", "BitGenerator"}
    # What others seed is put back.
    restored = {"random": {"getstate", "setstate"}, "np.random": {"get_state", "set_state"}}
    found = []
    for path, node in library_nodes():
        if not isinstance(node, ast.Attribute):
            continue
        base = dotted(node.value)
        if node.attr in restored.get(base or "", ()):
            continue
        of_numpy = base in {"np.random", "numpy.random"} and node.attr not in generators
        of_python = base == "random"
        if of_numpy or of_python or (base == "torch" and node.attr in {"manual_seed", "seed"}):
            found.append(f"{place(path, node)} uses a global generator: {base}.{node.attr}")
    assert not found


def test_every_library_that_is_imported_is_declared() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    declared = [
        *project["dependencies"],
        *extras["bayes"],
        *extras["embed"],
        *extras["llm"],
        *extras["lm"],
        *extras["progress"],
        *extras["testing"],
        *extras["trl"],
        *extras["web"],
    ]
    names = {re.split(r"[\[<>=~! ]", line, maxsplit=1)[0].lower().replace("-", "_") for line in declared}
    names = (
        {{"pyro_ppl": "pyro", "scikit_learn": "sklearn"}.get(name, name) for name in names}
        | {"pluralism"}
        | sys.stdlib_module_names
    )
    found = {(library, place(path, node)) for path, node in library_nodes() for library in imported(node)}
    assert not {(library, where) for library, where in found if library and library not in names}


def test_every_module_says_what_is_public() -> None:
    silent = []
    for path in python_files("pluralism"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        plain = {dotted(t) for node in tree.body if isinstance(node, ast.Assign) for t in node.targets}
        names = plain | {dotted(node.target) for node in tree.body if isinstance(node, ast.AnnAssign)}
        private = path.name.startswith("_") and path.name != "__init__.py"
        private = private or (path.name == "__init__.py" and len(tree.body) == 1)
        if not ast.get_docstring(tree) or ("__all__" not in names and not private):
            silent.append(str(path.relative_to(REPOSITORY)))
    assert not silent


def test_no_leftovers_and_no_paths_of_one_machine() -> None:
    marks = re.compile(
        r"\b(?:TODO|FIX" + r"ME|XXX)\b|type: ig" + r"nore|<<<<<<< |(?<![\w.])/(?:home|root|work|Users)/\w"
    )
    roots = (*CODE, "models", ".ci")
    top = [p for p in REPOSITORY.iterdir() if p.is_file() and not p.name.startswith(".git")]
    found = []
    for path in [*files(*roots), *top]:
        if path.suffix in TEXT_SUFFIXES and path != Path(__file__).resolve():
            text = path.read_text(encoding="utf-8")
            found += [f"{path.relative_to(REPOSITORY)}: {match.group()}" for match in marks.finditer(text)]
    assert not found


def test_tests_have_no_packages() -> None:
    assert not list((REPOSITORY / "tests").rglob("__init__.py"))


def test_links_between_pages_lead_somewhere() -> None:
    pages = [*REPOSITORY.glob("*.md"), *(path for path in files("docs", "models") if path.suffix == ".md")]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))]
    local = [(page, link) for page, link in links if not re.match(r"[a-z]+:", link)]
    missing = [f"{page.name}: {link}" for page, link in local if not (page.parent / link).exists()]
    assert local and not missing


def test_the_licence_is_complete() -> None:
    text = (REPOSITORY / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text and "END OF TERMS AND CONDITIONS" in text
