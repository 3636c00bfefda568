"""Public names exist, are documented, and are spelled once."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from types import ModuleType

import pytest

import pluralism
from pluralism import errors

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(pluralism.__path__, "pluralism.")
    if not any(part.startswith("_") for part in module.name.split("."))
)


def public_objects(module: ModuleType) -> list[tuple[str, object]]:
    """Classes, functions, and the methods and properties that a class defines itself."""
    found: list[tuple[str, object]] = []
    for name in getattr(module, "__all__", ()):
        value = getattr(module, name)
        if not (inspect.isclass(value) or inspect.isroutine(value)) or not value.__module__.startswith("pluralism"):
            continue
        found.append((name, value))
        for attribute, member in vars(value).items() if inspect.isclass(value) else ():
            function = member.__func__ if isinstance(member, classmethod | staticmethod) else member
            if not attribute.startswith("_") and (inspect.isfunction(function) or isinstance(function, property)):
                found.append((f"{name}.{attribute}", function))
    return found


@pytest.mark.parametrize("name", ["pluralism", *MODULES])
def test_public_names_exist_and_are_documented(name: str) -> None:
    module = importlib.import_module(name)
    assert inspect.getdoc(module), f"{name} has no docstring"
    names = getattr(module, "__all__", [])
    assert len(set(names)) == len(names), f"{name}.__all__ names something twice"
    missing = [public for public in names if not hasattr(module, public)]
    assert not missing, f"{name}.__all__ names what does not exist: {missing}"
    bare = [public for public, value in public_objects(module) if not inspect.getdoc(value)]
    assert not bare, f"without a docstring in {name}: {bare}"


def test_error_codes_are_unique_and_explained_in_the_docs(repository: Path) -> None:
    raised = [
        error
        for name in errors.__all__
        if issubclass(error := getattr(errors, name), errors.PluralismError) and "code" in vars(error)
    ]
    codes = [error.code for error in raised]
    assert len(raised) == sum(issubclass(getattr(errors, name), errors.PluralismError) for name in errors.__all__)
    assert len(set(codes)) == len(codes)
    page = (repository / "docs" / "errors.md").read_text(encoding="utf-8")
    explained = dict(re.findall(r"^\(pl(\d{3})\)=\n## PL\1: (\w+)", page, flags=re.MULTILINE))
    assert {f"PL{number}": name for number, name in explained.items()} == {e.code: e.__name__ for e in raised}


def test_the_version_is_stated_alike(repository: Path) -> None:
    stated = re.search(r'^version = "(.+)"$', (repository / "pyproject.toml").read_text(), flags=re.MULTILINE)
    assert stated is not None
    assert stated.group(1) == pluralism.__version__
