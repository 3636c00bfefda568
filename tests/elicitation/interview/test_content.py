"""Protocols and cases: shipped ones are whole in each language; a mistake in one of your own is named by its key."""

from __future__ import annotations

import re
import tomllib

import pytest

from pluralism.elicitation.card_lint import lint_cards
from pluralism.elicitation.interview import read_case, read_protocol
from pluralism.elicitation.interview.content import available, fill
from pluralism.errors import UsageError


@pytest.mark.parametrize("name", ["abortion", "unruly-child", "dangerous-information"])
def test_shipped_cases_have_contexts_and_good_cards_in_two_languages(name):
    case = read_case(name)
    assert case.languages == ("en", "de") and len(case.contexts) >= 5 and len(case.cards) >= 4
    for context in case.contexts:
        assert context.text["en"].startswith("When ") and context.text["de"].startswith("Wenn ")
    assert lint_cards(case.starting_cards("en")).ok
    assert not lint_cards(case.starting_cards("de")).errors
    assert {card.context for card in case.cards} == {context.id for context in case.contexts}


def test_the_shipped_protocol_ends_in_a_card():
    protocol = read_protocol("moral-graph")
    assert {stage.fills for stage in protocol.stages} >= {"title", "description", "policies"}
    assert len(protocol.stages) <= protocol.limits.max_turns
    assert set(available("protocols")) == {"moral-graph"} and len(available("cases")) == 3


def test_texts_in_two_languages_differ():
    """A text that was forgotten to be translated is the same in both."""
    for kind in ("protocols", "cases"):
        for path in available(kind).values():
            document = tomllib.loads(path.read_text(encoding="utf-8"))
            same = [text for text in pairs(document) if text[0] == text[1]]
            assert not same, f"{path.name}: {same}"


def pairs(node):
    if isinstance(node, dict) and {"en", "de"} <= set(node):
        yield node["en"], node["de"]
    elif isinstance(node, dict | list):
        for member in node.values() if isinstance(node, dict) else node:
            yield from pairs(member)


@pytest.mark.parametrize(
    ("change", "key", "said"),
    [
        (('id = "story"', 'id = "The Story"'), "stages[0].id", "pattern"),
        (('id = "story"', 'id = "name"'), "stages[5].id", "'name' is there twice"),
        (("min_turns = 3", "min_turns = 9"), "limits.min_turns", "larger than max_turns"),
        (("max_turns = 8", "max_turns = 4"), "limits.max_turns", "has 6 stages"),
        (("max_turns = 8", 'max_turns = "many"'), "limits.max_turns", "valid integer"),
        (("votes = 4", "vote = 4"), "limits.vote", "Extra inputs"),
        (("min_turns = 3\n", "min_turns = 3\nmin_turns = 3\n"), None, "not valid TOML"),
        (('kind = "scale"', 'kind = "stars"'), "survey[0].kind", "scale"),
        (('fills = "title"', 'fills = "policies"'), "stages[5].fills", "fills the policies too"),
        (('languages = ["en", "de"]', 'languages = ["en", "de", "fr"]'), "title", "no text in 'fr'"),
        (('de = "Worauf kommt es Ihnen hier an?"', ""), "title", "no text in 'de'"),
        (("[texts.plain_story]", "[texts.a_story]"), "texts.plain_story", "missing"),
        (("[texts.done]", "[texts.finished]"), "texts.done", "missing"),
        (("[prompts.guess]", "[prompts.hunch]"), "prompts.guess", "missing"),
        (("Now: {goal}", "Now: {votes}"), "prompts.interviewer.en", "no place {votes} here"),
        (('en = "What do you agree to?"', 'en = "{x}?"'), "texts.consent.en", "no place {x} here; there is none"),
        (('de = "Vielen Dank. Das war alles."', 'de = "  "'), "texts.done", "empty"),
        (('consent_version = "2026-1"\n', ""), "consent_version", "required"),
        (('de = "Vielen Dank. Das war alles."', 'Deutsch = "Danke"'), "texts.done", "no language code"),
    ],
)
def test_a_mistake_in_a_protocol_is_named_by_file_and_key(tmp_path, change, key, said):
    text = available("protocols")["moral-graph"].read_text(encoding="utf-8")
    assert change[0] in text
    mine = tmp_path / "mine.toml"
    mine.write_text(text.replace(*change, 1), encoding="utf-8")
    with pytest.raises(UsageError, match=re.escape(said)) as caught:
        read_protocol(mine)
    assert caught.value.where == (str(mine) if key is None else f"{mine}: {key}")


@pytest.mark.parametrize(
    ("change", "key", "said"),
    [
        (('context = "nobody-knows-yet"', 'context = "nowhere"'), "cards[1].context", "no context 'nowhere'"),
        (('id = "nobody-knows-yet"', 'id = "cannot-be-undone"'), "contexts[2].id", "there twice"),
        (("de = [", "fr = ["), "cards[0].policies", "no text in 'de'"),
        (("version = 1", "version = 0"), "version", "greater than or equal to 1"),
    ],
)
def test_a_mistake_in_a_case_is_named_by_file_and_key(tmp_path, change, key, said):
    text = available("cases")["abortion"].read_text(encoding="utf-8")
    mine = tmp_path / "mine.toml"
    mine.write_text(text.replace(*change, 1), encoding="utf-8")
    with pytest.raises(UsageError, match=re.escape(said)) as caught:
        read_case(mine)
    assert caught.value.where == f"{mine}: {key}"


def test_files_that_are_not_there_are_named_with_those_that_are(tmp_path):
    with pytest.raises(UsageError, match="no file 'nothing'") as caught:
        read_case("nothing")
    assert "abortion" in str(caught.value)
    (tmp_path / "a.toml").write_bytes(b"name = '\xff'")
    with pytest.raises(UsageError, match="not valid TOML"):
        read_case(tmp_path / "a.toml")


def test_what_is_filled_in_is_no_template():
    assert fill("{a} {b} {c}", a="{b}", b="x") == "{b} x {c}"
    assert fill("{a.__class__} {0}", a="x") == "{a.__class__} {0}"


def test_a_digest_tells_versions_apart(tmp_path):
    text = available("cases")["abortion"].read_text(encoding="utf-8")
    (tmp_path / "a.toml").write_text(text, encoding="utf-8")
    (tmp_path / "b.toml").write_text(text.replace("nineteen", "twenty"), encoding="utf-8")
    assert read_case(tmp_path / "a.toml").digest() == read_case("abortion").digest()
    assert read_case(tmp_path / "b.toml").digest() != read_case("abortion").digest()
