"""Every test that the reliability page names is there."""

import ast
import re


def test_named_tests_exist(repository):
    page = (repository / "docs" / "reliability.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)
    assert len(named) >= 25
    for path, test in named:
        tree = ast.parse((repository / path).read_text(encoding="utf-8"))
        assert test in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, f"{path}::{test}"


def test_every_kind_of_fault_has_a_test(repository):
    page = (repository / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| fault")]
    assert len(rows) == 21
    assert all("::test_" in row for row in rows)
