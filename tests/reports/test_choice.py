"""The page about a choice says what the comparison says: gains, losers, the front, contested prompts."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pluralism.data import Items
from pluralism.errors import UsageError
from pluralism.policy import FinitePolicy, compare_policies, kl_optimal
from pluralism.reports import WelfareDisplay, WelfareFrontDisplay, build_choice_report
from pluralism.social_choice import Utilities


@pytest.fixture(scope="module")
def items():
    return Items(["y", "n", "m"], texts=["Yes, of course.", "No.", "Perhaps."], prompts=["May I?"] * 3)


@pytest.fixture(scope="module")
def comparison(items):
    # a majority for yes, a minority against, and something that both can live with
    utilities = Utilities.from_items(
        np.array([[3.0, -3.0], [-3.0, 3.0], [1.0, 1.0]]),
        [0, 0, 0],
        shares=[0.8, 0.2],
        prompts=["May I?"],
        candidates=items.ids.to_pylist(),
        groups=["group 0", "group 1"],
    ).to_unit("gain")
    compromise = FinitePolicy(np.array([[-np.inf, -np.inf, 0.0]]), utilities, "always perhaps")
    return compare_policies({"by shares": kl_optimal(utilities, beta=0.0), "compromise": compromise})


def test_the_summary_says_what_helping_the_worst_off_costs(comparison, items):
    report = build_choice_report(comparison, items=items)
    said = report.content["summary"]
    assert said["headline"] == "compromise does most for those who have least, by shares most on average"
    assert "Group B, at −3.33; compromise brings the least to +0.67, and costs −0.80" in said["sentences"][0]
    assert "Some group has less than under the reference policy with by shares." in said["sentences"][1]
    assert "On 1 prompt of 1" in said["sentences"][2]
    row = report.content["policies"][0]
    assert row["gain"] == pytest.approx([8 / 3, -10 / 3])
    assert row["losers"] == ["Group B"]
    assert row["gap"] == pytest.approx(0.0, abs=1e-12)
    contested = report.content["contested"][0]
    assert [(choice["id"], choice["text"], choice["policies"]) for choice in contested["choices"]] == [
        ("y", "Yes, of course.", ["by shares"]),
        ("m", "Perhaps.", ["compromise"]),
    ]
    page = report.to_html()
    for text in ("Yes, of course.", "May I?", "+2.667", "−3.333", "always perhaps"):
        assert text in page
    assert report.to_html() == page
    assert json.loads(report.to_json())["settings"]["unit"] == "gain"


def test_one_policy_that_is_best_in_both_is_said_to_be(comparison):
    only = compare_policies({"compromise": comparison.policies["compromise"]})
    report = build_choice_report(only)
    assert "no policy here does more for those who have least" in report.content["summary"]["headline"]
    assert len(report.content["summary"]["figures"]) == 2
    assert report.content["contested"] == []
    assert "On no prompt do two policies differ." in report.to_html()


def test_displays_hold_the_numbers_they_draw(comparison):
    welfare = WelfareDisplay.from_comparison(comparison, groups=["many", "few"])
    drawn = welfare.plot()
    for k, line in enumerate(drawn.ax_.get_lines()[:2]):
        np.testing.assert_allclose(line.get_xdata(), comparison.group_utilities[:, k])
    assert "few −3.33" in welfare.describe()
    front = WelfareFrontDisplay.from_comparison(comparison)
    assert front.describe().count("(on the front)") == 2
    path = front.plot().ax_.get_lines()[0]
    np.testing.assert_allclose(path.get_xdata(), np.sort(comparison.mean))


def test_other_items_are_refused(comparison):
    with pytest.raises(UsageError, match="not the candidates"):
        build_choice_report(comparison, items=Items(["a"], texts=["A"]))
    with pytest.raises(UsageError, match="do not fit"):
        WelfareDisplay(["p"], ["a", "b"], np.zeros((1, 3)))
    with pytest.raises(UsageError, match="do not fit"):
        WelfareFrontDisplay(["p"], np.zeros(2), np.zeros(1), np.array([True]))
