from __future__ import annotations

import json
from html.parser import HTMLParser

import numpy as np
import pytest

from pluralism import evaluate
from pluralism.data import Comparisons, Items, simulate_mixture
from pluralism.errors import ComponentWarning, DataError, NotFittedError, UsageError
from pluralism.models import BradleyTerry, MixtureBradleyTerry, PreferenceModel
from pluralism.reports import Report, build_report, group_preferences
from pluralism.reports.held_out import refit
from pluralism.reports.text import interval, number, percent, signed

PARTS = (
    *("summary", "data_check", "groups", "likes", "covariates", "agreement"),
    *("certainty", "accuracy", "few_shot", "selection", "settings"),
)


class Tables(HTMLParser):
    """All tables of a page: caption -> rows of cell texts."""

    def __init__(self, page):
        super().__init__()
        self.tables, self.caption, self.rows, self.into = {}, "", [], None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag == "table":
            self.caption, self.rows = "", []
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
            self.into = "cell"
        elif tag == "caption":
            self.into = "caption"
        elif tag in ("span", "p", "br") and self.into == "cell":
            self.rows[-1][-1] += " "

    def handle_endtag(self, tag):
        if tag in ("td", "th", "caption"):
            self.into = None
        elif tag == "table":
            clean = [[" ".join(cell.split()) for cell in row] for row in self.rows]
            self.tables[" ".join(self.caption.split())] = clean

    def handle_data(self, data):
        if self.into == "cell":
            self.rows[-1][-1] += data
        elif self.into == "caption":
            self.caption += data

    def starting(self, caption):
        return next(rows for name, rows in self.tables.items() if name.startswith(caption))


def plain(text):
    return " ".join(text.split())


@pytest.fixture(scope="module")
def tables(page):
    return Tables(page)


@pytest.fixture(scope="module")
def refitted(model, data):
    train, test = data.split(test=0.2, by="pair", rng=0)
    return refit(model, train, 0), refit(model.control_, train, 0), test


def test_the_score_table_holds_the_evaluations_numbers(tables, report, refitted):
    own, pooled, test = refitted
    rows = {row[0].split(" is better")[0]: row[1:] for row in tables.starting("All scores on held-out")}
    for column, model in enumerate((own, pooled)):
        e = evaluate(model, test, n_bootstrap=200)
        cells = {name: row[column] for name, row in rows.items()}
        low, high = e.intervals["accuracy"]
        assert cells["Choices predicted higher"] == plain(
            f"{percent(e.accuracy, 1)} {interval(low, high, 1, of_percent=True)}"
        )
        low, high = e.intervals["nll"]
        shown = cells["Negative log-likelihood, nats a judgement lower"]
        assert shown == f"{number(e.nll)} {interval(low, high)}"
        assert cells["Brier score lower"].startswith(number(e.brier))
        assert (
            f"if calibrated: {e.ece_null_low:.3f} to {e.ece_null_high:.3f}" in cells["Expected calibration error lower"]
        )
    value, low, high = report.content["accuracy"]["difference"]["nll"]
    assert rows["Negative log-likelihood, nats a judgement lower"][2] == (
        f"{signed(value, 3)} {signed(low, 3)} to {signed(high, 3)}"
    )


def test_the_group_tables_hold_the_models_numbers(tables, model, report):
    rows = tables.starting("Share of the people")[1:]
    bounds = model.group_weight_intervals()
    for k, row in enumerate(rows):
        shares = f"{percent(model.group_weights_[k], 1)} {interval(*bounds[k], 1, of_percent=True)}"
        assert row[:2] == [f"Group {'AB'[k]}", plain(shares)]
        assert row[4] == f"group_{k}"
    assert sum(int(row[2]) for row in rows) == len(model.users_)
    scored = tables.starting("By the group found")[2:]
    for row, content in zip(scored, report.content["accuracy"]["groups"], strict=True):
        assert row[0] == content["name"] and row[1] == str(content["people"])
        assert row[3].startswith(plain(percent(content["model"]["accuracy"], 1)))
        assert row[4].startswith(plain(percent(content["pooled"]["accuracy"], 1)))


def test_known_groups_are_crossed_with_the_groups_found(tables, data, model):
    rows = tables.starting("People by the group found")
    assert rows[0] == ["Found", *data.groups.to_pylist()]
    table = np.array([[int(cell) for cell in row[1:]] for row in rows[1:]])
    assert table.sum() == len(model.users_) and table.max(axis=1).sum() >= 58


def test_the_few_shot_and_selection_tables(tables, report, model):
    curve = report.content["few_shot"]["curve"]
    rows = tables.starting("Scores after a number")[1:]
    assert [row[0] for row in rows] == [*map(str, curve["shots"]), "one reward"]
    assert rows[1][2].startswith(number(curve["nll"][1]))
    rows = tables.starting("Numbers of groups tried")[1:]
    assert [row[1] for row in rows] == [number(r["held_out"], 4) for r in model.selection_]
    assert [row[0] for row in rows if "chosen" in row[0]] == [f"{model.n_groups_} (chosen)"]


def test_likes_are_the_texts_with_the_highest_rewards(report, model, data):
    found = group_preferences(model, data)
    for k, group in enumerate(report.content["likes"]["groups"]):
        lists = {entry["heading"]: entry["items"] for entry in group["lists"]}
        best = found.liked(k, 3)
        assert [item["id"] for item in lists["likes most"]] == [
            data.items.ids[int(found.item[p])].as_py() for p in best
        ]
        assert [item["reward"] for item in lists["likes most"]] == pytest.approx(found.reward[best, k])
        assert [item["std"] for item in lists["likes most"]] == pytest.approx(found.std(best)[:, k])
        more = found.top(found.relative[:, k], 3)
        assert [item["relative"] for item in lists["likes more than others do"]] == pytest.approx(
            found.relative[more, k]
        )


def test_every_listed_text_is_on_the_page(report, page):
    for group in report.content["likes"]["groups"]:
        for entry in group["lists"]:
            for item in entry["items"]:
                assert item["text"] in page and item["prompt"] in page
                assert signed(item["relative" if entry["relative"] else "reward"]) in page


def test_same_choice_by_brute_force(report, model, data):
    left = model.predict_group_proba(data) > 0.5
    same = np.average(left[:, 0] == left[:, 1], weights=data.weight)
    table = report.content["agreement"]["same_choice"]
    assert table[0][1] == table[1][0] == pytest.approx(same)
    assert table[0][0] == table[1][1] == pytest.approx(1)


def test_every_check_is_in_the_table(tables, data):
    rows = tables.starting("Every check")[1:]
    assert {row[0]: row[1] for row in rows} == {check.name: check.status for check in data.check()}


def test_the_summary_says_what_the_numbers_say(report):
    said, part = report.content["summary"], report.content["accuracy"]
    assert part["verdict"] == "better" and "want different things" in said["headline"]
    smallest = part["groups"][1]
    sentence = next(s for s in said["sentences"] if "smallest" in s)
    assert smallest["name"] in sentence and percent(smallest["pooled"]["accuracy"]) in sentence
    assert [card["name"] for card in said["cards"]] == ["Group A", "Group B"]
    assert said["headline"] in repr(report)


def test_the_report_says_how_it_was_scored_and_made(page):
    assert "No test data were given" in page and "a fifth of every person" in page
    assert "pluralism report run votes.csv" in page and "fingerprint" in page
    assert "Tea &amp; &lt;coffee&gt;" in page


def test_texts_in_the_json_are_as_they_came_and_on_the_page_as_they_can_be_shown():
    items = Items(ids=["\u202ea", "b"], texts=["one\x00\u2066 two", "three"], features=np.eye(2))
    data = Comparisons(items, ["u"], [0, 0, 0], [0, 0, 0], [1, 1, 1], [1.0, 1.0, 0.0])
    report = build_report(BradleyTerry(ridge=1.0).fit(data), data, n_bootstrap=0)
    best = json.loads(report.to_json())["likes"]["groups"][0]["lists"][0]["items"][0]
    assert (best["id"], best["text"]) == ("\u202ea", "one\x00\u2066 two")
    assert "one\ufffd two" in report.to_html() and "\u2066" not in report.to_html()


def test_json_is_strict_and_whole(report):
    document = json.loads(report.to_json(), parse_constant=lambda name: pytest.fail(f"{name} in the JSON"))
    assert document["schema_version"] == 1 and set(document) == {"schema_version", "title", *PARTS}
    assert document["accuracy"]["model"]["n"] == report.content["accuracy"]["model"]["n"]


def test_the_same_seed_gives_the_same_bytes(model, data, report, page):
    title, command = report.title, "pluralism report run votes.csv"
    again = build_report(model, data, n_bootstrap=200, title=title, command=command)
    again.displays["groups"].plot()
    assert again.to_json() == report.to_json()
    assert again.to_html() == page


def test_the_model_and_the_data_are_left_as_they_are(model, data):
    before = {name: str(value) for name, value in vars(model).items()}
    build_report(model, data, n_bootstrap=0)
    assert {name: str(value) for name, value in vars(model).items()} == before


def test_writing(report, page, tmp_path):
    assert report.write(tmp_path / "report.html").read_text(encoding="utf-8") == page
    report.write(tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["title"] == report.title
    with pytest.raises(UsageError, match=r"cannot be written as 'report\.pdf'"):
        report.write(tmp_path / "report.pdf")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.html", "report.json"]


def test_progress_names_each_step(model, data):
    steps: list[str] = []
    build_report(model, data, n_bootstrap=0, progress=steps.append)
    assert steps[0] == "held-out judgements" and "few shot" in steps and len(steps) == len(set(steps)) == len(PARTS)


def test_a_mixture_that_brings_nothing_is_told_so(unequal):
    data, model = unequal
    report = build_report(model, data, n_bootstrap=200)
    part, page = report.content["accuracy"], report.to_html()
    assert part["verdict"] == "same" and not report.content["summary"]["cards"]
    assert "one reward predicts them as well" in report.content["summary"]["headline"]
    value, low, high = part["difference"]["nll"]
    assert f"{signed(value, 3)} nats a judgement ({signed(low, 3)} to {signed(high, 3)})" in page
    assert "A single reward explains these data as well" in page
    assert "was given when the model was fitted" in page


def test_one_reward_degrades_part_by_part(model, data):
    report = build_report(model.control_, data, n_bootstrap=50)
    for name in ("groups", "agreement", "certainty", "few_shot"):
        assert "one reward for everybody" in report.content[name]["missing"]
    page = report.to_html()
    assert "No comparison with one reward for everybody" in page and page.count("Not shown:") == 4
    assert set(report.displays) == {"covariates", "reliability_model"}
    assert "What people want" in page


def test_no_covariance_is_stated(data):
    model = MixtureBradleyTerry(n_groups=2, ridge=1.0, uncertainty=False, rng=0).fit(data)
    report = build_report(model, data, n_bootstrap=0)
    assert "keeps no covariance" in report.content["likes"]["no_std"]
    assert "There are no standard deviations, because this model keeps no covariance" in report.to_html()
    assert report.content["accuracy"]["verdict"] == "unknown"
    assert report.content["covariates"]["missing"].startswith("the model carries no covariates")


def test_items_without_texts_are_shown_by_id(data):
    items = Items(ids=data.items.ids)
    bare = Comparisons(items, data.users, data.user, data.left, data.right, data.outcome)
    with pytest.warns(ComponentWarning):
        model = MixtureBradleyTerry(n_groups=2, ridge=1.0, rng=0).fit(bare)
    report = build_report(model, bare, n_bootstrap=20)
    page = report.to_html()
    assert report.content["likes"]["within"] is None and "<code>item-" in page
    assert "relative to the mean of all judged items" in page and not report.content["agreement"]["split_prompts"]


def test_given_test_data_and_support(data):
    train, new = data.split(test=0.3, by="user", rng=0)
    support, test = new.split(test=0.5, by="pair", rng=0)
    model = MixtureBradleyTerry(n_groups=2, ridge=1.0, rng=0).fit(train)
    report = build_report(model, train, test=test, support=support, n_bootstrap=20)
    expected = evaluate(model, test, support=support, n_bootstrap=0)
    assert report.content["accuracy"]["model"]["accuracy"] == expected.accuracy
    assert "Scored on the test data given" in report.to_html()
    with pytest.raises(UsageError, match="test="):
        build_report(model, train, support=support)


def test_a_sample_is_stated(model, data):
    report = build_report(model, data, sample=600, n_bootstrap=0)
    part = report.content["accuracy"]
    assert part["sampled"] and 400 < part["n_used"] <= 600 and report.content["few_shot"]["sampled"]
    assert "this was done with people drawn at random" in report.to_html()
    assert f"this was done with {part['n_used']:,} of the judgements" in " ".join(report.to_html().split())


def tiny(outcome, features=True):
    items = Items(ids=list("abc"), features=np.eye(3) if features else None)
    return Comparisons(items, ["u", "v"], [0, 0, 1, 1], [0, 1, 0, 1], [1, 2, 1, 2], outcome)


@pytest.mark.parametrize("outcome", [[0.5, 0.5, 0.5, 0.5], [1.0, 0.0, 0.0, 1.0]])
@pytest.mark.parametrize("n_groups", [1, 2])
def test_tiny_data_give_a_report_with_reasons(outcome, n_groups):
    data = tiny(outcome)
    model = MixtureBradleyTerry(n_groups=n_groups, ridge=1.0, item_effects=False, rng=0).fit(data)
    page = build_report(model, data, n_bootstrap=10).to_html()
    assert "Not shown:" in page


def test_one_judgement_cannot_be_held_out():
    items = Items(ids=list("ab"), texts=["x", "y"], features=np.eye(2))
    data = Comparisons(items, ["u"], [0, 0], [0, 0], [1, 1], [1.0, 0.0])
    report = build_report(BradleyTerry(ridge=1.0).fit(data), data)
    assert "cannot be held out" in report.content["accuracy"]["missing"]
    assert "cannot be held out" in report.to_html()


class Coin(PreferenceModel):
    """The least that the contract asks of a model: two groups, one of which likes what the other dislikes."""

    def fit(self, comparisons, **options):
        self.users_ = comparisons.users
        self.group_weights_ = np.array([0.6, 0.4])
        self.converged_ = True
        return self

    @property
    def n_groups_(self):
        return 2

    def reward(self, items):
        return np.stack([np.arange(len(items)), -np.arange(len(items))], axis=1) / 10.0

    def predict_group_proba(self, comparisons):
        r = self.reward(comparisons.items)
        return 1 / (1 + np.exp(r[comparisons.right] - r[comparisons.left]))

    def predict_proba(self, comparisons, *, membership=None):
        return self.predict_group_proba(comparisons) @ self.group_weights_

    def membership(self, comparisons=None):
        return self.adapt(comparisons)

    def adapt(self, comparisons):
        from pluralism.models import Membership

        users = self.users_ if comparisons is None else comparisons.users
        return Membership(users, np.tile(self.group_weights_, (len(users), 1)), np.ones(len(users), dtype=np.int64))

    def _state(self):
        return {}, {}

    def _set_state(self, document, arrays):
        raise NotImplementedError


def test_a_model_of_the_barest_contract(data):
    report = build_report(Coin().fit(data), data, n_bootstrap=20)
    page = report.to_html()
    assert "keeps no posterior of the group sizes" in page and "brings none along" in page
    assert report.content["accuracy"]["verdict"] == "alone"


def test_what_cannot_be_reported_is_refused(model, data):
    with pytest.raises(NotFittedError):
        build_report(BradleyTerry(), data)
    with pytest.raises(DataError, match="no judgements"):
        build_report(model, data.take(np.zeros(0, dtype=int)))
    with pytest.raises(UsageError, match="examples=0"):
        build_report(model, data, examples=0)
    bare = Comparisons(Items(ids=data.items.ids), data.users, data.user, data.left, data.right, data.outcome)
    with pytest.raises(DataError, match="no features"):
        build_report(model, bare)


def test_a_report_in_a_notebook_runs_in_a_sandbox(report):
    shown = report._repr_html_()
    assert shown.startswith("<iframe srcdoc=") and 'sandbox=""' in shown and shown.count("<") == 2
    assert isinstance(report, Report)


def test_many_groups_are_reported():
    data = simulate_mixture(n_users=40, n_groups=3, n_items=20, dim=2, pairs_per_user=12, rng=0).comparisons
    model = MixtureBradleyTerry(
        n_groups=10, ridge=5.0, item_effects=False, n_init=1, uncertainty=False, tol=1e-5, rng=0
    ).fit(data)
    page = build_report(model, data, n_bootstrap=10).to_html()
    assert "Group J" in page
