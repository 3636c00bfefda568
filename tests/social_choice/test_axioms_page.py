"""The table of axioms in the docs says what the rules declare."""

from __future__ import annotations

import re

from pluralism.social_choice import rules
from pluralism.social_choice.profile import Profile
from pluralism.social_choice.rule import AXIOMS

MARKS = {"✓": True, "✗": False, "": None}


def test_the_table_of_the_docs_is_that_of_the_rules(repository):
    page = (repository / "docs" / "social_choice.md").read_text(encoding="utf-8")
    header, *rows = [line for line in page.splitlines() if re.match(r"\| (rule|`[a-z-]+`) \|", line)]
    axioms = [cell.strip().replace(" ", "_") for cell in header.strip("|").split("|")[1:]]
    assert set(axioms) == set(AXIOMS) - {"anonymity", "neutrality"}
    shown = {}
    for row in rows:
        name, *cells = (cell.strip() for cell in row.strip("|").split("|"))
        marks = {axiom: MARKS[cell] for axiom, cell in zip(axioms, cells, strict=True)}
        shown[name.strip("`")] = {axiom: mark for axiom, mark in marks.items() if mark is not None}
    ranked = {name: each for name, each in rules().items() if each.takes is Profile and each.axioms}
    assert shown == {
        name: {axiom: holds for axiom, holds in each.axioms.items() if axiom in axioms} for name, each in ranked.items()
    }
    assert all(each.axioms["anonymity"] and each.axioms["neutrality"] for each in ranked.values())
