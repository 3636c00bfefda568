"""Data for a run that exists: read and embedded as when it was fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pluralism.cli.encoding import PRIVATE, Encoding
from pluralism.errors import DataError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

    from pluralism.cli.encoding import Progress
    from pluralism.cli.reading import Reading
    from pluralism.cli.run_directory import DataRecord, FileRecord, Run
    from pluralism.data import Comparisons, Items, Rankings

__all__ = ["RunData", "training_data"]

Answers = TypeVar("Answers", bound="Comparisons | Rankings")


class RunData:
    """Reads data for a run.

    Parameters
    ----------
    run : Run
    reading : Reading
        What the user said about the files; items and features that are left out are those of the run.
    encoding : Encoding
        What the user said about the encoder; left out, that of the run.

    Raises
    ------
    UsageError
        If the run's encoder sends texts to an address that only the run names, or its items are gone.
    """

    def __init__(self, run: Run, reading: Reading, encoding: Encoding) -> None:
        self.run = run
        record = run.record
        if record is not None and reading.items is None and reading.features is None:
            reading = replace(
                reading, items=_recorded(record.items, "--items"), features=_recorded(record.features, "--features")
            )
        elif record is not None and reading.features is None and record.features is not None:
            raise UsageError(
                "The run was fitted on features of your own, and these items come without.",
                where=f"--items {reading.items}",
                fix="Give --features as well, made as those of the run.",
            )
        self.reading, self.encoding = reading.of_votes([run.model]), _same_encoding(run, encoding)

    def read(self, path: Path, progress: Progress) -> Comparisons:
        """Read and embed a file."""
        comparisons, _ = self.reading.read(path)
        return self.embed(comparisons, path, progress)

    def read_answers(self, path: Path, progress: Progress) -> Comparisons | Rankings:
        """Read and embed the answers that place people: ballots as they are, if the model takes rankings."""
        answers, _ = self.reading.read_for(path, self.run.model.takes)
        return self.embed(answers, path, progress)

    def read_candidates(
        self, path: Path, features: Path | None, progress: Progress
    ) -> tuple[Items, Float[np.ndarray, " items"] | None]:
        """Read and embed a table of candidates, perhaps with features of their own; and their reference."""
        from pluralism.data.candidates import read_candidates

        items, log_reference = read_candidates(path, columns=self.reading.columns or None, features=features)
        return self.embed_items(items, path, progress), log_reference

    def embed(self, comparisons: Answers, path: Path, progress: Progress) -> Answers:
        """Give answers the features that the model needs, or none."""
        items = self.embed_items(comparisons.items, path, progress)
        embedded: Any = comparisons if items is comparisons.items else comparisons.with_items(items)
        return embedded

    def embed_items(self, items: Items, path: Path, progress: Progress) -> Items:
        """Give items the features that the model needs, or none."""
        model: Any = self.run.model
        if model.dim_ is None or items.features is not None:
            return items
        if items.texts is None:
            raise DataError(
                "The model was fitted on features, and the data hold ids of items without texts.",
                where=str(path),
                fix="Give --items with the texts, and --features if they are your own.",
            )
        if self.encoding.name is None:
            raise UsageError(
                f"Nobody knows which encoder made the features of this model (space {model.feature_space_!r}).",
                where=str(self.run.directory),
                fix="Name it with --encoder, or give --items and --features.",
            )
        return self.encoding.attach(items, progress)[0]


def training_data(run: Run, recorded: DataRecord | None, given: Path | None) -> Path:
    """Where the data of the fit are: where they were, or where the user says.

    Raises
    ------
    UsageError
        If they are gone, or nobody knows what the model was fitted to.
    """
    if given is None and recorded is None:
        raise UsageError(
            "This model was saved from Python, so nobody knows what it was fitted to.",
            where=str(run.directory),
            fix="Name the data with --data.",
        )
    path = given if given is not None else Path(recorded.path if recorded is not None else "")
    if not path.exists():
        raise UsageError("The data of the run are gone.", where=str(path), fix="Say where they are now with --data.")
    return path


def _recorded(file: FileRecord | None, option: str) -> Path | None:
    if file is None:
        return None
    path = Path(file.path)
    if not path.exists():
        raise UsageError(
            "A file that the run was fitted on is gone.", where=str(path), fix=f"Say where it is now with {option}."
        )
    return path


def _same_encoding(run: Run, asked: Encoding) -> Encoding:
    recorded = None if run.record is None else run.record.encoder
    if recorded is None or asked.name is not None:
        return asked
    options: Mapping[str, Any] = {**recorded.options, **asked.options}
    private = [name for name in PRIVATE if name in recorded.options and name not in asked.options]
    if private:
        value = recorded.options[private[0]]
        raise UsageError(
            f"This run's encoder {recorded.name} sends texts away with {private[0]}={value}, which a run does not "
            "decide for you.",
            where=str(run.directory / "run.json"),
            fix=f"If that is what you want, repeat --encoder-option {private[0]}={value}.",
        )
    cache = asked.cache
    if cache is None and run.record is not None and run.record.cache is not None and Path(run.record.cache).is_dir():
        cache = Path(run.record.cache)
    return Encoding(recorded.name, options, cache)
