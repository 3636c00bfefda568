"""Preference data of TRL: standard and conversational, explicit and implicit prompts, in and out."""

from __future__ import annotations

import json
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pluralism.data.comparisons import Comparisons
from pluralism.data.conversations import as_messages, as_text, reads_back
from pluralism.data.items import Items
from pluralism.data.trl import common_prefix
from pluralism.errors import DataError, DataWarning, MissingExtraError, UsageError

datasets = pytest.importorskip("datasets", reason="needs the extra: pip install 'pluralism[trl]'")


def said(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


ASK = [said("user", "What color is the sky?")]
BLUE, GREEN = [said("assistant", "It is blue.")], [said("assistant", "It is green.")]
LAYOUTS = {
    "standard explicit": {"prompt": "What color is the sky?", "chosen": "It is blue.", "rejected": "It is green."},
    "conversational explicit": {"prompt": ASK, "chosen": BLUE, "rejected": GREEN},
    "conversational implicit": {"chosen": ASK + BLUE, "rejected": ASK + GREEN},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_all_layouts_give_the_same_items(layout):
    dataset = datasets.Dataset.from_list([LAYOUTS[layout] | {"user": "u"}])
    data = Comparisons.from_trl(dataset)
    assert data.items.prompts.to_pylist() == ["What color is the sky?"] * 2
    assert data.items.texts.to_pylist() == ["It is blue.", "It is green."]
    assert data.outcome.tolist() == [1]
    assert Comparisons.from_trl([LAYOUTS[layout] | {"user": "u"}]).equals(data)


def test_implicit_prompts_of_texts_end_before_the_space():
    row = {"chosen": "What color is the sky? It is blue.", "rejected": "What color is the sky? It is green."}
    data = Comparisons.from_trl([row], user="u")
    assert data.items.prompts.to_pylist() == ["What color is the sky? It is"] * 2
    assert data.items.texts.to_pylist() == [" blue.", " green."]
    assert Comparisons.from_trl([{"chosen": "yes", "rejected": "no"}], user="u").items.prompts is None


@settings(max_examples=100)
@given(st.text("ab \u00e9", max_size=6), st.text("ab ", max_size=5), st.text("ab ", max_size=5))
def test_common_prefix_is_the_longest(prefix, one, other):
    chosen, rejected = prefix + one, prefix + other
    length = common_prefix(chosen, rejected)
    longest = next((k for k, (a, b) in enumerate(zip(chosen, rejected, strict=False)) if a != b), None)
    longest = min(len(chosen), len(rejected)) if longest is None else longest
    if longest == min(len(chosen), len(rejected)):
        assert length == max(longest - 1, 0)
    elif longest and chosen[longest - 1] == " ":
        assert length == longest - 1
    else:
        assert length == longest
    if chosen and rejected:
        assert chosen[length:]
        assert rejected[length:]


def test_one_answer_may_begin_the_other():
    data = Comparisons.from_trl([{"chosen": "Q? Yes.", "rejected": "Q? Yes. And no."}], user="u")
    assert data.items.texts.to_pylist() == [".", ". And no."]
    with pytest.raises(DataError, match="itself"):
        Comparisons.from_trl([{"chosen": "Q? Yes.", "rejected": "Q? Yes."}], user="u")


def test_without_users_all_are_one_and_that_is_said():
    with pytest.warns(DataWarning, match="those of one user, 'all'"):
        data = Comparisons.from_trl([LAYOUTS["standard explicit"]])
    assert data.users.to_pylist() == ["all"]
    assert Comparisons.from_trl([LAYOUTS["standard explicit"]], user="me").users.to_pylist() == ["me"]


def test_other_columns_are_read():
    extra = {"annotator": [1, 2], "margin": [2.5, 0.5], "weight": [2, 1], "group": ["g", None], "source": ["s", "s"]}
    extra["time"] = [1, 2]
    rows = [LAYOUTS["standard explicit"] | {name: values[k] for name, values in extra.items()} for k in range(2)]
    data = Comparisons.from_trl(rows, columns={"user": "annotator"})
    assert data.strength.tolist() == [2.5, 0.5]
    assert data.weight.tolist() == [2, 1]
    assert data.group.tolist() == [0, -1]
    assert data.users.to_pylist() == ["1", "2"]
    back = data.to_trl()
    assert back.column_names == ["prompt", "chosen", "rejected", "user", "weight", "group", "source", "time", "margin"]
    assert Comparisons.from_trl(back).equals(data)


def test_turns_and_system_messages():
    asked = [said("system", "Be brief."), said("user", "Hi"), said("assistant", "Hello."), said("user", "Tea?")]
    row = {"chosen": [*asked, said("assistant", "Yes.")], "rejected": [*asked, said("assistant", "No.")]}
    data = Comparisons.from_trl([row], user="u")
    assert data.items.prompts[0].as_py() == "System: Be brief.\n\nUser: Hi\n\nAssistant: Hello.\n\nUser: Tea?"
    for prompt in ("implicit", "explicit"):
        back = data.to_trl(prompt=prompt, conversational=True)
        assert Comparisons.from_trl(back).equals(data)
    assert data.to_trl(prompt="implicit", conversational=True)[0]["chosen"] == row["chosen"]
    assert data.to_trl(conversational=True)[0]["prompt"] == asked


ROLES = st.sampled_from(["system", "user", "assistant", "tool"])
WORDS = st.text(min_size=1, max_size=8).filter(str.strip)
MESSAGES = st.lists(st.builds(said, ROLES, WORDS), min_size=1, max_size=4)


@settings(max_examples=50)
@given(MESSAGES, st.sampled_from(["user", "assistant"]))
def test_messages_come_back(messages, lone):
    assert reads_back(messages, lone)
    assert as_messages(as_text(messages, lone), lone) == messages


@pytest.mark.parametrize(
    "content", ["User: hello", "Assistant: x\n\nUser: y", "a\n\nb", "User:", "user: x", "Note: this", "\n\nTool: z"]
)
def test_contents_that_look_like_turns(content):
    for messages in ([said("user", content)], [said("user", content), said("assistant", "ok")]):
        text = as_text(messages, "user")
        assert content in text
        split = "\n\nUser: " in content or "\n\nTool: " in content
        assert reads_back(messages, "user") == (not split or (len(messages) == 1 and not content.startswith("Ass")))


def test_messages_that_would_be_split_are_warned_of():
    asked = [said("user", "Hi\n\nAssistant: I obey."), said("assistant", "What?"), said("user", "Go")]
    with pytest.warns(DataWarning, match="in 1 rows a message reads as if"):
        Comparisons.from_trl([{"prompt": asked, "chosen": BLUE, "rejected": GREEN}], user="u")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": ASK, "chosen": BLUE, "rejected": None}, "empty"),
        ({"prompt": ASK, "chosen": BLUE, "rejected": []}, "list of messages"),
        ({"prompt": ASK, "chosen": BLUE, "rejected": [{"role": "assistant"}]}, "content that is text"),
        ({"prompt": ASK, "chosen": BLUE, "rejected": [{"role": "assistant", "content": [{"type": "image"}]}]}, "text"),
        ({"prompt": ASK, "chosen": BLUE, "rejected": ["No."]}, "list of messages"),
        ({"prompt": ASK, "chosen": BLUE, "rejected": [said("assistant", "") | {"tool_calls": [1]}]}, "tool"),
    ],
)
def test_other_messages_are_refused_with_their_row(row, message):
    rows = [LAYOUTS["conversational explicit"], row]
    with pytest.raises(DataError, match=rf"{message}[\s\S]*row 2"):
        Comparisons.from_trl(rows, user="u")
    with pytest.warns(DataWarning, match="left out 1 of 2"):
        data = Comparisons.from_trl(rows, user="u", strict=False)
    assert len(data) == 1
    assert [fault.rows.tolist() for fault in data.faults] == [[1]]


def test_same_and_mixed_implicit_conversations_are_refused():
    for row, message in (
        ({"chosen": ASK + BLUE, "rejected": ASK + BLUE}, "the same"),
        ({"chosen": ASK, "rejected": ASK + BLUE}, "the beginning of the other"),
        ({"chosen": ASK + BLUE, "rejected": "No."}, "the other a list"),
    ):
        with pytest.raises(DataError, match=message):
            Comparisons.from_trl([row], user="u")


def test_faults_of_both_readings_count_the_rows_of_the_data(tmp_path):
    bad = {"prompt": ASK, "chosen": None, "rejected": GREEN}
    good = LAYOUTS["conversational explicit"]
    rows = [bad, good, good | {"weight": -1}, good]
    rows = [{"weight": 1, "user": "u"} | row for row in rows]
    (tmp_path / "p.jsonl").write_text("\n\n".join(json.dumps(row) for row in rows))
    with pytest.warns(DataWarning, match=r"column 'chosen', row 1 \(line 1") as warned:
        data = Comparisons.from_trl(tmp_path / "p.jsonl", strict=False)
    assert "left out 2 of 4 rows" in str(warned[-1].message)
    assert "column 'weight', row 3 (line 5 of the file)" in str(warned[-1].message)
    assert [fault.rows.tolist() for fault in data.faults] == [[0], [2]]
    assert len(data) == 2


def test_unpaired_preferences_are_refused():
    with pytest.raises(DataError, match="unpaired"):
        Comparisons.from_trl([{"prompt": "p", "completion": "c", "label": True}], user="u")


def test_ties_have_no_form_there():
    data = Comparisons.from_arrays(["a"] * 4, ["b"] * 4, user=["u"] * 4, outcome=[1, 0.5, 0, 0.7])
    with pytest.raises(DataError, match=r"1 judgements are ties[\s\S]*row 2[\s\S]*ties='drop'"):
        data.to_trl()
    with pytest.warns(DataWarning, match="1 ties are left out, and 1 graded"):
        made = data.to_trl(ties="drop")
    assert made["chosen"][:] == ["a", "b", "a"]
    assert made["rejected"][:] == ["b", "a", "b"]
    with pytest.raises(UsageError, match="ties="):
        data.to_trl(ties="keep")


def test_what_has_no_texts_or_two_prompts_cannot_be_written():
    with pytest.raises(UsageError, match="no texts"):
        Comparisons.from_arrays([0], [1]).to_trl()
    items = Items.from_texts(["a", "b"], prompts=["p", "q"])
    with pytest.raises(UsageError, match="different prompts"):
        Comparisons.from_arrays([0], [1], items=items).to_trl()
    twice = Items.from_texts(["a", "a"], ids=["x", "y"])
    with pytest.raises(DataError, match="have the same text in 1 row"):
        Comparisons.from_arrays([0], [1], items=twice).to_trl()


ANSWERED = st.tuples(st.text(max_size=6), WORDS, WORDS, st.booleans())


@settings(max_examples=40)
@given(
    rows=st.lists(ANSWERED.filter(lambda row: row[1] != row[2]), min_size=1, max_size=5),
    prompt=st.sampled_from(["explicit", "implicit"]),
    conversational=st.booleans(),
)
def test_judgements_come_back(rows, prompt, conversational):
    prompts, left, right, won = zip(*rows, strict=True)
    frame = {"user": ["u"] * len(rows), "prompt": prompts, "left": left, "right": right, "outcome": won}
    data = Comparisons.from_frame(frame)
    made = data.to_trl(prompt=prompt, conversational=conversational)
    whole = [(p + (a if w else b), p + (b if w else a)) for p, a, b, w in rows]
    if prompt == "implicit" and not conversational:
        assert list(zip(made["chosen"][:], made["rejected"][:], strict=True)) == whole
        return
    back = Comparisons.from_trl(made)
    texts = back.items.texts
    assert [
        ((asked or "") + texts[int(a)].as_py(), (asked or "") + texts[int(b)].as_py())
        for asked, a, b in zip(
            [None] * len(rows) if back.items.prompts is None else back.items.prompts.take(back.left).to_pylist(),
            back.left,
            back.right,
            strict=True,
        )
    ] == whole
    assert (back.outcome == 1).all()


def test_real_pairs_with_implicit_prompts(shared_data):
    import polars as pl

    frame = pl.read_parquet(shared_data / "hh_rlhf_harmless" / "pairs.parquet").select("prompt", "chosen", "rejected")
    with pytest.warns(DataWarning, match=r"left out \d+ of 1,860 rows\. Column 'chosen' has empty cells"):
        data = Comparisons.from_trl(frame, user="crowd", strict=False)
    good = frame.filter(pl.col("chosen").str.strip_chars() != "", pl.col("rejected").str.strip_chars() != "")
    good = good.filter(pl.col("chosen") != pl.col("rejected"))
    assert len(data) == len(good)
    assert data.to_trl().select_columns(["prompt", "chosen", "rejected"]).to_dict() == good.to_dict(as_series=False)

    whole = data.to_trl(prompt="implicit")
    assert whole["chosen"][:] == (good["prompt"] + good["chosen"]).to_list()
    again = Comparisons.from_trl(whole)
    assert again.to_trl(prompt="implicit").to_dict() == whole.to_dict()
    prompts = again.items.prompts.take(again.left).to_pylist()
    assert all(found.startswith(asked.rstrip(" ")) for found, asked in zip(prompts, good["prompt"], strict=True))


def test_without_the_datasets_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'pluralism\[trl\]'"):
        Comparisons.from_arrays(["a"], ["b"]).to_trl()
