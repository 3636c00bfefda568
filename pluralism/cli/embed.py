"""`pluralism embed`: texts to a feature matrix, for use with other tools or with --items and --features."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pluralism.cli.options import (
    CacheOption,
    ColumnOption,
    EncoderOption,
    EncoderSettingOption,
    JsonOption,
    KindOption,
    UserOption,
    pairs_of,
    settings_of,
)
from pluralism.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from pluralism.data import Comparisons, Items

__all__ = ["embed"]

ITEMS, FEATURES, COMPARISONS = "items.parquet", "features.npy", "comparisons.parquet"


def embed(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="Judgements, or a table of items with the columns id and text.")
    ],
    out: Annotated[Path, typer.Option("--out", help=f"Folder for {ITEMS}, {FEATURES} and {COMPARISONS}.")],
    encoder: EncoderOption = None,
    encoder_option: EncoderSettingOption = None,
    cache: CacheOption = None,
    kind: KindOption = None,
    column: ColumnOption = None,
    user: UserOption = None,
    as_json: JsonOption = False,
) -> None:
    """Embed the texts of DATA with a frozen encoder, once and for all."""
    from pluralism.cli.encoding import NONE, Encoding
    from pluralism.cli.output import output
    from pluralism.cli.progress import stages
    from pluralism.cli.reading import Reading

    encoding = Encoding(encoder, settings_of(encoder_option), cache)
    if encoder == NONE:
        raise UsageError("There is nothing to do.", where="--encoder none", fix="Name an encoder, such as minilm.")
    if data.resolve() in {(out / name).resolve() for name in (ITEMS, FEATURES, COMPARISONS)}:
        raise UsageError("DATA would be overwritten.", where=f"--out {out}", fix="Choose another folder.")
    with output(as_json) as result:
        with stages() as stage:
            stage(f"reading {data.name}")
            reading = Reading(kind=kind, columns=pairs_of(column, "--column"), user=user)
            items, comparisons = reading.read_items(data)
            if items.texts is None:
                raise UsageError("The data have no texts.", where=str(data), fix="Embed a table of items: id and text.")
            stage("embedding")
            items, name = encoding.attach(items, stage.share)
            stage("writing")
            _write(out, items, comparisons)
        document = {
            "items": str(out / ITEMS),
            "features": str(out / FEATURES),
            "comparisons": None if comparisons is None else str(out / COMPARISONS),
            "n_items": len(items),
            "dim": items.dim,
            "encoder": name,
            "space": items.feature_space,
        }
        result.show(document, lambda console: _render(console, document))


def _write(folder: Path, items: Items, comparisons: Comparisons | None) -> None:
    import numpy as np

    from pluralism.files import atomic_path

    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / FEATURES) as temporary:
        np.save(temporary, np.asarray(items.features), allow_pickle=False)
    items.write(folder / ITEMS)
    if comparisons is not None:
        comparisons.write(folder / COMPARISONS, as_ids=True)


def _render(console: Console, document: dict[str, Any]) -> None:
    console.print(f"{document['n_items']:,} texts in {document['dim']} dimensions by {document['encoder']}")
    comparisons = document["comparisons"]
    for path in (document["items"], document["features"], comparisons):
        if path is not None:
            console.print(f"  {path}", soft_wrap=True)
    data = "DATA" if comparisons is None else comparisons
    options = f"--items {document['items']} --features {document['features']}"
    console.print(f"Fit with: pluralism fit {data} {options} --out RUN", soft_wrap=True)
