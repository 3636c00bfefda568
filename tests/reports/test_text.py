from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.text import Text

from pluralism.reports.palette import diverging_class, group_colour, group_marker, group_name
from pluralism.reports.text import counted, interval, label, number, one_line, percent, printable, signed

ANY_TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=60)
BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@settings(max_examples=50)
@given(ANY_TEXT)
def test_printable_text_is_xml_and_keeps_what_xml_can_hold(text):
    shown = printable(text)
    element = ElementTree.Element("p")
    element.text = shown
    assert (ElementTree.fromstring(ElementTree.tostring(element)).text or "") == shown
    if text.isprintable():
        assert shown == text
    assert not set(shown) & set(BIDI)


@settings(max_examples=50)
@given(ANY_TEXT, st.integers(2, 30))
def test_a_label_is_one_short_line_and_no_formula(text, limit):
    assert len(one_line(text, limit)) <= limit
    shown = label(text, limit)
    assert "\n" not in shown and not set(shown) & set(BIDI)
    _, is_math = Text(text=shown)._preprocess_math(shown)
    assert not is_math


@pytest.mark.parametrize("text", ["$5 and $6", "$x$", r"\$5$", "$$", "100% $ 3$"])
def test_dollars_are_dollars(text):
    shown, is_math = Text()._preprocess_math(label(text, 100))
    assert not is_math
    assert shown.count("$") == text.count("$")


def test_numbers():
    assert number(-0.1234) == "−0.123" and number(-0.0001) == "0.000" and number(None) == number(float("nan")) == "–"
    assert signed(0.5) == "+0.50" and signed(-0.001) == "+0.00" and signed(-1) == "−1.00" and signed(None) == "–"
    assert percent(0.0049) == "0\u00a0%" and percent(1.0, 1) == "100.0\u00a0%"
    assert interval(0.1, 0.2, 2) == "0.10 to 0.20" and interval(None, 0.2) == ""
    assert interval(0.1, 0.234, 0, of_percent=True) == "10 to 23\u00a0%"
    assert counted(1, "person", "people") == "1 person" and counted(2, "judgement") == "2 judgements"


def test_groups_are_told_apart():
    signs = {(group_colour(k), group_marker(k)) for k in range(64)}
    assert len(signs) == 64
    assert len({group_name(k) for k in range(800)}) == 800
    assert [group_name(k) for k in (25, 26, 701, 702)] == ["Group Z", "Group AA", "Group ZZ", "Group AAA"]


def relative_luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("ground", ["#ffffff", "#14171c"])
def test_group_colours_stand_out_on_light_and_dark(ground):
    for k in range(8):
        low, high = sorted([relative_luminance(group_colour(k)), relative_luminance(ground)])
        assert (high + 0.05) / (low + 0.05) >= 2.9


def test_shades_saturate_and_are_symmetric():
    assert [diverging_class(v, 2.0) for v in (-9, -2, -0.3, 0.0, 0.3, 1, 9)] == [-3, -3, 0, 0, 0, 2, 3]
    assert diverging_class(float("nan"), 2.0) == 0
