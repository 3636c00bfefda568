"""The small parts of the command line: values, numbers, texts, threads, progress."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from pluralism.cli import threads
from pluralism.cli.encoding import Encoding
from pluralism.cli.options import number_or_auto, pairs_of, setting_value
from pluralism.cli.output import Output, clean_text, plain_values
from pluralism.cli.progress import piece_in_words, stages
from pluralism.cli.tables import number, percent, percent_span, span, wrapped
from pluralism.data import Items
from pluralism.errors import PluralismWarning, UsageError


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("2.5", 2.5), ("true", True), ("cls", "cls"), ('"3"', "3"), ("[1, 2]", [1, 2]), ("a = 1", "a = 1")],
)
def test_settings_are_read_as_toml_or_as_texts(text: str, value: Any) -> None:
    assert setting_value(text) == value
    assert type(setting_value(text)) is type(value)


@given(st.text())
@settings(max_examples=50)
def test_any_setting_has_a_value(text: str) -> None:
    setting_value(text)


def test_pairs_keep_later_equals_signs_and_refuse_repeats() -> None:
    assert pairs_of(["a=b=c", "d="], "--set") == {"a": "b=c", "d": ""}
    for wrong in (["a"], ["=b"], ["a=1", "a=2"]):
        with pytest.raises(UsageError) as caught:
            pairs_of(wrong, "--set")
        assert caught.value.where == "--set"


def test_numbers_or_auto() -> None:
    assert number_or_auto("auto", "--ridge", whole=False) == "auto"
    assert number_or_auto("0", "--ridge", whole=False) == 0.0
    assert number_or_auto("4", "--groups", whole=True) == 4
    for text, whole in (("0", True), ("2.5", True), ("-1", False), ("inf", False), ("x", False)):
        with pytest.raises(UsageError):
            number_or_auto(text, "--x", whole=whole)


def test_json_has_null_for_what_is_no_number() -> None:
    value = {
        "a": np.array([1.0, np.nan]),
        "b": (np.int64(2), np.inf),
        Path("c"): None,
        "d": np.bool_(True),
        "e": Path("x"),
    }
    assert plain_values(value) == {"a": [1.0, None], "b": [2, None], "c": None, "d": True, "e": "x"}


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_json_is_one_line_in_any_encoding(encoding: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    Output(Console(file=stream), as_json=True).show({"text": "größer\n–"}, lambda console: console.print("table"))
    assert raw.getvalue().count(b"\n") == 1
    assert json.loads(raw.getvalue()) == {"text": "größer\n–"}


@given(st.text())
@settings(max_examples=50)
def test_cleaned_texts_are_one_line_that_steers_no_terminal(text: str) -> None:
    shown = clean_text(f"\x1b[31m{text}\u202e", 20)
    assert len(shown) <= 20
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in shown)
    assert "\u202e" not in shown


def test_numbers_as_people_read_them() -> None:
    assert [
        number(1 / 3),
        number(-0.25, 2),
        number(0.5, 1, sign=True),
        number(-1e-9),
        number(None),
        number(np.nan),
    ] == [
        "0.333",
        "−0.25",
        "+0.5",
        "0.000",
        "–",
        "–",
    ]
    assert (percent(0.084), percent(0.084, 1), percent_span((0.05, 0.115))) == ("8 %", "8.4 %", "5–12 %")
    assert (span((0.1, 0.2), 1), span((-0.1, 0.2), 1), span(None), span((0.1, np.nan))) == (
        "0.1–0.2",
        "−0.1 to 0.2",
        "–",
        "–",
    )


def test_running_text_hangs_from_its_mark() -> None:
    stream = io.StringIO()
    wrapped(Console(file=stream, width=20), "one two three four five six", mark="· ")
    assert stream.getvalue() == "· one two three four\n  five six\n"


def test_square_brackets_of_users_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    from pluralism.cli.output import output

    with output(False) as result:
        print("from a library")
        result.show({}, lambda console: console.print("[bold]as it is[/bold] :smile:"))
    captured = capsys.readouterr()
    assert captured.out == "[bold]as it is[/bold] :smile:\n"
    assert captured.err == "from a library\n"


def test_threads_are_set_once_and_never_over_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    threads.set_default_threads()
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert int(os.environ["MKL_NUM_THREADS"]) == threads.usable_cores() >= 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    for content, expected in (("max 100000", cores), ("50000 100000", 1), ("nonsense", cores)):
        (tmp_path / "cpu.max").write_text(content)
        monkeypatch.setattr(threads, "CPU_LIMIT", tmp_path / "cpu.max")
        assert threads.usable_cores() == expected


def test_progress_is_silent_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with stages() as stage:
        stage("fitting")
        stage.share(1, 2)
    assert capsys.readouterr() == ("", "")


def test_pieces_of_a_fit_in_words() -> None:
    assert piece_in_words("groups/3/0") == "scoring held-out users, 3 groups"
    assert piece_in_words("evidence/0.5") == "weighing the items' own effects"
    assert piece_in_words("something new") == "something new"


def test_the_default_cache_is_given_up_with_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("PLURALISM_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.warns(PluralismWarning, match="--cache"):
        assert Encoding("hash").folder() is None
    monkeypatch.setenv("PLURALISM_CACHE", str(tmp_path / "new" / "cache"))
    assert Encoding("hash").folder() == tmp_path / "new" / "cache"
    assert Encoding("hash", cache=tmp_path).folder() == tmp_path


def test_an_encoder_for_items_without_texts_is_refused() -> None:
    with pytest.raises(UsageError, match="no texts"):
        Encoding("hash").attach(Items(ids=["1", "2"]), lambda done, total: None)
    items, name = Encoding("none").attach(Items.from_texts(["a", "b"]), lambda done, total: None)
    assert (items.features, name) == (None, None)
