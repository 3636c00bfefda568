"""Errors, warnings and interruptions as a user sees them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pluralism.cli import failures
from pluralism.errors import DataError, DataWarning

Call = Callable[..., Any]


def breaking(error: BaseException) -> Callable[..., Any]:
    def fail(*arguments: object, **options: object) -> Any:
        raise error

    return fail


@pytest.fixture
def broken_fit(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Make every fit raise."""

    def install(error: BaseException) -> None:
        from pluralism.models import BradleyTerry

        monkeypatch.setattr(BradleyTerry, "fit", breaking(error))

    return install


def fit_arguments(votes: Path, out: Path) -> tuple[object, ...]:
    return ("fit", votes / "train.csv", "--model", "bt", "--encoder", "hash:16", "--out", out)


def test_a_defect_is_one_line_and_a_hint(
    call: Call, votes: Path, tmp_path: Path, broken_fit: Callable[[BaseException], None], monkeypatch: Any
) -> None:
    broken_fit(RuntimeError("the\nmatrix is sad"))
    result = call(*fit_arguments(votes, tmp_path / "run"))
    assert result.code == 1
    assert result.out == ""
    assert len(result.err.splitlines()) == 1
    assert "RuntimeError: the matrix is sad" in result.err
    assert "PLURALISM_DEBUG=1" in result.err
    monkeypatch.setenv("PLURALISM_DEBUG", "1")
    assert "Traceback" in call(*fit_arguments(votes, tmp_path / "run")).err
    assert not (tmp_path / "run").exists()


def test_too_little_memory_is_said_plainly(
    call: Call, votes: Path, tmp_path: Path, broken_fit: Callable[[BaseException], None]
) -> None:
    broken_fit(MemoryError())
    result = call(*fit_arguments(votes, tmp_path / "run"))
    assert (result.code, "memory" in result.err) == (1, True)


def test_an_interruption_says_how_to_resume(
    call: Call, votes: Path, tmp_path: Path, broken_fit: Callable[[BaseException], None], monkeypatch: Any
) -> None:
    broken_fit(KeyboardInterrupt())
    result = call(*fit_arguments(votes, tmp_path / "run"))
    assert result.code == 130
    assert "resume with the same command" in result.err
    monkeypatch.setattr("pluralism.data.check.check_file", breaking(KeyboardInterrupt()))
    stopped = call("check", votes / "train.csv")
    assert stopped.code == 130
    assert "resume" not in stopped.err


def test_a_failing_disk_names_the_path(call: Call, votes: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for command in (
        fit_arguments(votes, tmp_path / "file" / "run"),
        ("embed", votes / "train.csv", "--encoder", "hash:16", "--out", tmp_path / "file" / "vectors"),
    ):
        result = call(*command)
        assert result.code == 2
        assert str(tmp_path / "file") in result.err
        assert "fix:" in result.err


def test_warnings_are_single_lines_shown_once(capsys: pytest.CaptureFixture[str]) -> None:
    with failures.readable_warnings():
        for _ in range(2):
            warnings.warn("ridge\nis odd; pass ridge=2.0", DataWarning, stacklevel=1)
        warnings.warn("of another library", UserWarning, stacklevel=1)
    assert capsys.readouterr().err == "warning: ridge is odd; pass --ridge 2.0\n"


def test_errors_of_python_are_worded_for_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    error = DataError("No user.", where="votes.csv", fix="Pass user='all' or columns={'user': 'rater', 'left': 'a b'}.")
    assert failures.report_failure(error, "pluralism fit") == 2
    assert capsys.readouterr().err == (
        "[PL010] No user.\n  where: votes.csv\n  fix:   Pass --user all or --column user=rater --column 'left=a b'.\n"
    )


def test_no_argument_shows_the_commands(call: Call) -> None:
    result = call()
    assert result.code == 2
    for command in ("demo", "check", "embed", "fit", "evaluate", "adapt", "compare", "report"):
        assert command in result.out
        help_text = call(command, "--help")
        assert help_text.code == 0
        assert "--json" in help_text.out


def test_the_version(call: Call) -> None:
    import pluralism

    result = call("--version")
    assert (result.code, result.out) == (0, f"pluralism {pluralism.__version__}\n")
