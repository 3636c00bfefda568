"""The studies of real data run as a reader would run them, and find what they say."""

import os
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def run(repository, name, **environment):
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:__main__", str(repository / "examples" / name)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def cells(line):
    return [float(number) for number in re.findall(r"(?<![\w.])[-+]?\d*\.\d+", line)]


def test_arguments(repository, shared_data, minilm):
    out = run(repository, "ukp_convarg.py", PLURALISM_DATA=str(shared_data))
    known, left_out = out.split("debates left out")
    rows = {line[:42].strip(): cells(line[42:]) for line in known.splitlines() if cells(line)}
    accuracy, _, _, nll, _ = rows["text, argument and length"]
    assert accuracy >= 0.780
    assert nll <= 0.544
    assert accuracy >= max(rows[name][0] for name in ("length alone", "text", "the argument itself")) - 0.002
    person = next(values for name, values in rows.items() if name.startswith("the same, each person"))
    assert person[0] >= 0.791
    assert person[3] <= 0.534
    ties = {name: values[0] for name, values in rows.items() if len(values) == 1}
    assert ties["each person's own"] <= 0.487
    assert ties["each person's own"] < ties["one propensity to tie"] - 0.03
    best = next(cells(line) for line in left_out.splitlines() if line.startswith("text and length"))
    assert best[-1] >= 0.715


def test_opposed_personas(repository, shared_data, minilm):
    out = run(repository, "anthropic_personas.py", PLURALISM_DATA=str(shared_data), SEEDS="2")
    rows = [line for line in out.splitlines() if re.match(r"\s+\d\s+\d\s", line)]
    assert len(rows) == 2
    for row in rows:
        _, pooled_major, pooled_minor, mixed_major, mixed_minor, known_major, known_minor = cells(row)
        assert pooled_major > 0.9
        assert pooled_minor < 0.5
        assert mixed_major >= known_major - 0.02
        assert mixed_minor >= known_minor - 0.02
    assert int(rows[0].split()[1]) == 2


def test_polis(repository, shared_data):
    out = run(repository, "polis.py", PLURALISM_DATA=str(shared_data))
    one = next(cells(line) for line in out.splitlines() if line.startswith("one ranking"))
    groups = next(cells(line) for line in out.splitlines() if re.match(r"\d groups", line))
    assert groups[-2] < one[-2]
    assert "Found:" in out


def test_votes(repository, shared_data):
    out = run(repository, "votes.py", PLURALISM_DATA=str(shared_data))
    polis, dices = ({line[:28].strip(): cells(line) for line in part.splitlines()} for part in out.split("DICES:"))
    assert polis["four dimensions"][0] >= 0.830
    assert polis["four dimensions"][1] <= 0.381
    assert polis["items and thresholds"][1] <= 0.447
    assert dices["two dimensions"][0] >= 0.81
    assert dices["two dimensions"][1] <= 0.415
    assert dices["two dimensions"][1] < dices["items and thresholds"][1] - 0.01


def test_four_opposed_groups(repository, shared_data, minilm):
    out = run(repository, "persona_groups.py", PLURALISM_DATA=str(shared_data), SEEDS="2")
    agreement = next(cells(line) for line in out.splitlines() if line.startswith("agreement"))
    assert len(agreement) == 2
    assert min(agreement) >= 0.95
    behind = next(cells(line) for line in out.splitlines() if line.startswith("farthest"))
    assert behind[0] <= 0.03


def test_ensembles_and_noise(repository, shared_data, minilm):
    out = run(repository, "ensembles_and_noise.py", PLURALISM_DATA=str(shared_data))
    rows = {line[:24].strip(): cells(line[24:]) for line in out.splitlines() if cells(line[24:])}
    draws, encoders = rows["8 draws of people"], rows["2 encoders"]
    assert draws[3] > 0.7 > 0.4 > encoders[3]
    noise = {
        name: rows[name] for name in ("all judgements", "peers, two encoders", "own losses", "likelihood of flips")
    }
    assert max(row[1] for row in noise.values()) == noise["all judgements"][1]
    assert noise["likelihood of flips"][0] > max(noise["peers, two encoders"][0], noise["own losses"][0])
    lost = [cells(line)[0] for line in out.splitlines() if line.startswith("one tenth")]
    kept = [cells(line)[0] for line in out.splitlines() if line.startswith("nine tenths")]
    assert len(lost) == 3
    assert all(few > 2 * many for few, many in zip(lost, kept, strict=True))


STUDIES = [
    "ukp_convarg.py",
    "anthropic_personas.py",
    "persona_groups.py",
    "polis.py",
    "votes.py",
    "ensembles_and_noise.py",
]


@pytest.mark.parametrize("name", STUDIES)
def test_without_the_data_a_line_says_what_is_missing(repository, tmp_path, name):
    out = run(repository, name, PLURALISM_DATA=str(tmp_path))
    assert len(out.splitlines()) == 1
    assert "PLURALISM_DATA" in out


def test_maxmin_on_the_demo(repository):
    out = run(repository, "plot_maxmin.py", MPLBACKEND="Agg")
    rows = {line.split()[0]: cells(line) for line in out.splitlines() if line and cells(line)}
    *_, mean, worst, kl = rows["maxmin"]
    *_, best_mean, least, _ = rows["utilitarian"]
    assert kl == pytest.approx(0.5, abs=0.001)
    assert worst > 0 > least
    assert worst > least + 1.0
    assert mean < best_mean
    assert rows["sample-minimum"][-2] < worst - 0.1
    assert re.search(r"gap (0|\d(\.\d)?e-(0[7-9]|\d\d))", out)


def test_a_circle_of_majorities(repository):
    out = run(repository, "plot_condorcet_cycle.py", MPLBACKEND="Agg")
    assert "tea 0.333, milk 0.333, gin 0.333" in out
    assert all(abs(value) < 0.2 for value in cells(out.splitlines()[0]))
    assert "tie of tea, milk, gin" in out


def test_rules_on_a_conversation(repository, shared_data):
    out = run(repository, "polis_rules.py", PLURALISM_DATA=str(shared_data))
    one, five = out.split("five statements")
    assert {"approval", "borda", "schulze", "maximal-lottery"} <= {line.split()[0] for line in one.splitlines() if line}
    represented = {line[:26].strip(): cells(line)[0] for line in five.splitlines()[1:5]}
    assert represented["equal shares"] >= represented["five most approved"]


def test_moral_graph(repository):
    out = run(repository, "moral_graph.py", SEEDS="3")
    rules, questions = out.split("tau with the truth")[1].split("tau by choice of questions")
    rows = [cells(line) for line in rules.splitlines() if re.match(r"\s+\d+\s", line)]
    assert len(rows) == 3
    for reference, corrected, pagerank, _, _, bradley_terry in rows:
        assert bradley_terry > max(reference, corrected, pagerank)
    gain = float(re.search(r"([-+]\d\.\d+) \(information-gain\)", questions)[1])
    assert gain > 0
    assert out.count("information gain: is ") == 3
