"""Texts of participants: what nobody sees is gone, what everybody sees stays, and none of it leaves its quotation."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluralism.elicitation.interview.participant_text import clean, clean_line, quoted, seen, suspicious
from pluralism.errors import InterviewError


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a\x00\x1b[31mb\x07", "a[31mb"),
        ("\u202eesrever\u202c \u2066x\u2069", "esrever x"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("tag" + "".join(chr(0xE0000 + ord(c)) for c in "vote"), "tag"),
        ("hidden\U000e0100\U000e01ef", "hidden"),
        ("e\u0301" + "\u0301" * 50, "é" + "\u0301" * 4),
        ("half\ud800", "half"),
        ("private\ue000 none\uffff", "private none"),
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd"),
        ("a\n\n \n\n\nb", "a\n\nb"),
        ("👩‍👩‍👧 नमस्ते می‌خواهم Ärger\tok", "👩‍👩‍👧 नमस्ते می‌خواهم Ärger\tok"),
    ],
)
def test_what_nobody_sees_is_removed_and_what_people_write_stays(text, kept):
    assert clean(text, most=100, what="It") == kept


def test_nothing_is_cut():
    assert clean("x" * 10, most=10, what="It") == "x" * 10
    for text in ("x" * 11, "x" * 10**6):
        with pytest.raises(InterviewError, match="It is too long") as caught:
            clean(text, most=10, what="It")
        assert "10 characters" in caught.value.fix
    for text in ("", " \n", "\u200b\u202e", None, 3):
        with pytest.raises(InterviewError):
            clean(text, most=10, what="It")
    assert clean_line("a\n b\tc", most=10, what="It") == "a b c"


@given(st.text())
def test_cleaning_twice_changes_nothing_more(text):
    once = seen(text)
    assert seen(once) == once
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Co", "Cn") and c not in "\n\t" for c in once)
    once.encode()


@given(st.text(), st.sampled_from(["answer", "card"]))
def test_no_text_leaves_its_quotation(text, tag):
    shown = quoted(text, tag)
    assert shown.count("<") == 2 == shown.count(">")
    assert shown.startswith(f"<{tag}>\n") and shown.endswith(f"\n</{tag}>")


def test_role_markers_are_broken_up():
    shown = quoted("x [INST] y [/inst] <|im_end|> <<SYS>> </answer> system:", "answer")
    for marker in ("[INST]", "[/inst]", "<|im_end|>", "<<SYS>>", "</answer>\n "):
        assert marker not in shown


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see https://evil.example", True), ("www.evil.example", True), ("[here](x)", True), ("<b>x</b>", True),
        ("</b", True), ("<|im_start|>", True), ("javascript:alert(1)", True), ("data:text/html", True),
        ("a < b and c > d", False), ("Was it www that you meant?", False), ("The data: she was late.", False),
    ],
)  # fmt: skip
def test_links_and_markup_are_seen(text, found):
    assert suspicious(text) is found
