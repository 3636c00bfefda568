from __future__ import annotations

import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from pluralism import evaluate
from pluralism.calibration import reliability_curve
from pluralism.errors import UsageError
from pluralism.evaluation import few_shot_curve
from pluralism.models import BradleyTerry
from pluralism.reports import (
    AgreementDisplay,
    ComparisonDisplay,
    CovariateDisplay,
    FewShotDisplay,
    GroupsDisplay,
    MembershipDisplay,
    ReliabilityDisplay,
    SelectionDisplay,
    group_preferences,
)
from pluralism.reports.palette import group_colour


def tick_labels(ax):
    return [text.get_text() for text in ax.get_yticklabels()]


def segments(ax, n):
    """Ends of the lines of the n-th line collection: (lines, 2)."""
    return np.array([line[:, :] for line in ax.collections[n].get_segments()])


@pytest.fixture(scope="module")
def curve(model, data):
    from pluralism.reports.held_out import refit

    train, new = data.split(test=0.3, by="user", rng=0)
    return few_shot_curve(refit(model, train, 0), new, shots=(0, 2, 5), repeats=2, n_bootstrap=50)


@pytest.fixture(scope="module")
def displays(model, data, curve):
    groups = {user: "ab"[k] for user, k in zip(model.users_.to_pylist(), model.membership().labels, strict=True)}
    evaluations = {
        name: evaluate(m, data, groups=groups, n_bootstrap=50) for name, m in (("one", model.control_), ("two", model))
    }
    return {
        "groups": GroupsDisplay.from_model(model),
        "membership": MembershipDisplay.from_model(model),
        "covariates": CovariateDisplay.from_model(model),
        "agreement": AgreementDisplay.from_model(model, data, n=3),
        "reliability": ReliabilityDisplay.from_evaluation(evaluations["two"], name="two"),
        "few_shot": FewShotDisplay(curve),
        "few_shot_nll": FewShotDisplay(curve, metric="nll"),
        "comparison": ComparisonDisplay.from_evaluations(evaluations),
        "selection": SelectionDisplay.from_model(model),
    }


ALL = (
    *("groups", "membership", "covariates", "agreement", "reliability"),
    *("few_shot", "few_shot_nll", "comparison", "selection"),
)


@pytest.mark.parametrize("name", ALL)
def test_every_display_draws_on_its_own_figure_or_on_given_axes(displays, name):
    display = displays[name]
    before = dict(matplotlib.rcParams)
    assert display.plot() is display
    own = display.figure_
    assert isinstance(own, Figure) and isinstance(own.canvas, FigureCanvasAgg) and display.ax_.figure is own
    figure = Figure(layout="constrained")
    ax = figure.add_subplot(1, 2, 1)
    display.plot(ax)
    assert display.ax_ is ax and display.figure_ is figure
    figure.canvas.draw()
    assert dict(matplotlib.rcParams) == before
    assert display.describe().endswith(".")
    assert display.ax_.get_xlabel()


@pytest.mark.parametrize("name", ALL)
def test_the_legend_and_all_labels_lie_within_the_figure(displays, name):
    display = displays[name].plot()
    display.figure_.canvas.draw()
    box = display.figure_.bbox
    ax = display.ax_
    artists = [ax.xaxis.label, ax.yaxis.label]
    for axis, (low, high) in ((ax.xaxis, sorted(ax.get_xlim())), (ax.yaxis, sorted(ax.get_ylim()))):
        artists += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    artists += [display.ax_.get_legend()] if display.ax_.get_legend() else []
    for artist in artists:
        extent = artist.get_window_extent()
        assert extent.x0 >= box.x0 - 2 and extent.x1 <= box.x1 + 2, artist


def test_pyplot_is_never_loaded():
    code = (
        "import sys; from pluralism.reports import GroupsDisplay; GroupsDisplay([0.7, 0.3]).plot().to_svg();"
        "assert 'matplotlib.pyplot' not in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_groups_are_bars_of_their_shares_with_intervals(model):
    ax = GroupsDisplay.from_model(model).plot().ax_
    bars = ax.containers[0]
    assert [bar.get_width() for bar in bars] == pytest.approx(100 * model.group_weights_)
    assert [to_hex(bar.get_facecolor()) for bar in bars] == [group_colour(0), group_colour(1)]
    assert segments(ax, 0)[:, :, 0] == pytest.approx(100 * model.group_weight_intervals())
    assert tick_labels(ax) == ["Group A", "Group B"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]


def test_groups_without_intervals_and_with_wrong_names():
    ax = GroupsDisplay([0.5, 0.5]).plot().ax_
    assert len(ax.collections) == 0
    with pytest.raises(UsageError, match="3 names for 2 groups"):
        GroupsDisplay([0.5, 0.5], names=["a", "b", "c"])


def test_membership_is_a_histogram_of_everybody(model):
    display = MembershipDisplay.from_model(model).plot()
    membership = model.membership()
    assert display.counts_.sum() == len(membership)
    assert display.counts_.sum(axis=1).tolist() == np.bincount(membership.labels, minlength=2).tolist()
    expected = np.histogram(membership.certainty, bins=display.edges_)[0]
    assert display.counts_.sum(axis=0).tolist() == expected.tolist()
    heights = [bar.get_height() for container in display.ax_.containers for bar in container]
    assert sum(heights) == len(membership)
    assert display.sure_share == np.mean(membership.certainty >= 0.9)


@pytest.mark.parametrize("n_groups", [2, 3, 4, 7, 12])
def test_certainty_bins_run_from_chance_to_certainty(n_groups, rng):
    import pyarrow as pa

    from pluralism.models import Membership

    posterior = rng.dirichlet(np.full(n_groups, 0.3), size=200)
    posterior[0], posterior[1] = 1.0 / n_groups, np.eye(n_groups)[0]
    users = pa.array([str(i) for i in range(200)], pa.large_string())
    display = MembershipDisplay(Membership(users, posterior, np.ones(200, dtype=np.int64)))
    assert display.edges_[0] == pytest.approx(1 / n_groups) and display.edges_[-1] == 1.0
    assert (np.diff(display.edges_) > 0).all() and np.diff(display.edges_).max() < 0.0501
    assert display.counts_.sum() == 200


def test_covariate_effects_are_for_a_typical_difference(model, data):
    display = CovariateDisplay.from_model(model)
    spread = np.sqrt(np.mean(data.covariate_difference(["tone"]) ** 2))
    assert display.effect[:, 0] == pytest.approx(model.covariate_effects_[:, 0] * spread)
    expected = [np.sqrt(c[-1, -1]) for c in model.covariance_]
    assert display.std[:, 0] == pytest.approx(expected)
    lines = [line for line in display.plot().ax_.get_lines() if line.get_marker() not in ("None", None, "")]
    assert [line.get_xdata()[0] for line in lines] == pytest.approx(display.effect[:, 0])
    assert display.effect[0, 0] > 0 > display.effect[1, 0]


def test_covariates_are_needed_for_their_display(data):
    with pytest.raises(UsageError, match="no covariates"):
        CovariateDisplay.from_model(BradleyTerry(ridge=1.0).fit(data))


def test_agreement_marks_stand_at_the_rewards(model, data):
    found = group_preferences(model, data)
    display = AgreementDisplay.from_model(model, data, n=2).plot()
    heading, names, reward = display.blocks[-1]
    assert heading == "Splitting the groups"
    assert reward == pytest.approx(found.reward[found.divisive(2)])
    marks = np.array([line.get_xdata()[0] for line in display.ax_.get_lines() if line.get_linestyle() == "None"])
    assert marks[-4:] == pytest.approx(reward.ravel())
    assert names[0] == data.items.texts[int(found.item[found.divisive(1)[0]])].as_py()
    assert set(names) <= {text.get_text() for text in display.ax_.texts}
    assert len(display.ax_.get_legend().get_texts()) == 2


def test_reliability_points_are_the_curve():
    rng = np.random.default_rng(0)
    p = rng.random(4000)
    y = (rng.random(4000) < p).astype(float)
    display = ReliabilityDisplay.from_predictions(p, y, n_bins=10, name="calibrated").plot()
    curve = reliability_curve(p, y, n_bins=10)
    points = next(line for line in display.ax_.get_lines() if line.get_marker() == "o")
    assert points.get_xdata() == pytest.approx(100 * curve.confidence)
    assert points.get_ydata() == pytest.approx(100 * curve.observed)
    assert f"ECE {curve.ece:.3f}" in [text.get_text() for text in display.ax_.texts]
    bars = display.ax_.containers[0]
    heights = np.array([bar.get_height() for bar in bars])
    assert heights / heights.max() == pytest.approx(curve.count / curve.count.max())


def test_reliability_from_a_model_leaves_ties_out(model, data):
    display = ReliabilityDisplay.from_model(model, data)
    assert display.curve.count.sum() == np.sum(data.outcome != 0.5) < len(data)


def test_small_bins_are_hollow_and_do_not_stretch_the_axis():
    p = np.concatenate([np.full(500, 0.72), np.full(3, 0.95)])
    y = np.concatenate([np.ones(360), np.zeros(140), [0, 0, 1]])
    ax = ReliabilityDisplay.from_predictions(p, y, n_bins=10).plot().ax_
    assert ax.get_yticks()[0] == 50
    filled = [line for line in ax.get_lines() if line.get_marker() == "o" and line.get_markerfacecolor() != "none"]
    assert len(filled[0].get_xdata()) == 1


def test_few_shot_curve_and_its_control(curve):
    ax = FewShotDisplay(curve).plot().ax_
    line = next(line for line in ax.get_lines() if line.get_marker() == "o")
    assert line.get_ydata() == pytest.approx(100 * curve.accuracy)
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0", "2", "5"]
    control = next(line for line in ax.get_lines() if line.get_marker() != "o")
    assert control.get_ydata()[0] == pytest.approx(100 * curve.control_accuracy)
    with pytest.raises(UsageError, match="no few-shot curve"):
        FewShotDisplay(curve, metric="brier")


def test_comparison_has_a_line_for_everyone_each_group_and_the_worst_off(displays):
    display = displays["comparison"].plot()
    assert display.lines == ["Everyone", "a", "b", "Tenth-percentile person"]
    points = [line for line in display.ax_.get_lines() if line.get_linestyle() == "None"]
    for line, rows in zip(points, display.values.values(), strict=True):
        assert line.get_xdata() == pytest.approx(100 * rows[:, 0])
    assert segments(display.ax_, 0)[:, :, 0] == pytest.approx(100 * display.values["one"][:, 1:])


def test_comparison_refuses_what_cannot_be_compared(model, data):
    with pytest.raises(UsageError, match="no evaluations"):
        ComparisonDisplay.from_evaluations({})
    by_model, by_data = (evaluate(model, data, groups=g, n_bootstrap=0) for g in ("model", "data"))
    with pytest.raises(UsageError, match="different groups"):
        ComparisonDisplay.from_evaluations({"a": by_model, "b": by_data})
    with pytest.raises(UsageError, match="2 values for 1 lines"):
        ComparisonDisplay(["Everyone"], {"a": [(0.5, 0.4, 0.6)] * 2})


def test_selection_marks_the_chosen_number(model):
    ax = SelectionDisplay.from_model(model).plot().ax_
    curve, chosen = ax.get_lines()
    assert curve.get_xdata().tolist() == [row["n_groups"] for row in model.selection_]
    assert curve.get_ydata() == pytest.approx([row["held_out"] for row in model.selection_])
    assert chosen.get_xdata().tolist() == [model.n_groups_]
    with pytest.raises(UsageError, match="was given"):
        SelectionDisplay.from_model(model.control_)
