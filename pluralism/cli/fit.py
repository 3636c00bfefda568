"""`pluralism fit`: a model of who wants what, saved as a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pluralism.cli.options import (
    AttributeOption,
    CacheOption,
    ColumnOption,
    DataArgument,
    EncoderOption,
    EncoderSettingOption,
    FeaturesOption,
    ItemsOption,
    JsonOption,
    KindOption,
    MaxPairsOption,
    SeedOption,
    UserOption,
    number_or_auto,
    pairs_of,
    settings_of,
)
from pluralism.errors import PluralismError, StorageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pluralism.models import PreferenceModel
    from pluralism.models.recipes import Recipe

__all__ = ["fit", "model_of"]

_MODEL = "Model"


def fit(
    data: DataArgument,
    out: Annotated[Path, typer.Option("--out", help="Folder for the run; an interrupted fit resumes from it.")],
    model: Annotated[
        str, typer.Option("--model", help="A recipe: bt, maxmin, or a .toml file of yours.", rich_help_panel=_MODEL)
    ] = "maxmin",
    groups: Annotated[
        str | None,
        typer.Option("--groups", metavar="K|auto", help="How many groups of users.", rich_help_panel=_MODEL),
    ] = None,
    covariate: Annotated[
        list[str] | None,
        typer.Option(
            "--covariate",
            metavar="NAME",
            help="A number of either side as a term of its own, such as length; may be repeated.",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    item_effects: Annotated[
        bool | None,
        typer.Option(
            "--item-effects/--no-item-effects",
            help="Whether items depart from what their features predict. [default: as in the recipe]",
            show_default=False,
            rich_help_panel=_MODEL,
        ),
    ] = None,
    ties: Annotated[
        str | None,
        typer.Option("--ties", metavar="half|davidson", help="How ties are read.", rich_help_panel=_MODEL),
    ] = None,
    ridge: Annotated[
        str | None,
        typer.Option("--ridge", metavar="X|auto", help="Precision of the prior.", rich_help_panel=_MODEL),
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Any other parameter of the recipe, such as n_init=8; may be repeated.",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    seed: SeedOption = 0,
    encoder: EncoderOption = None,
    encoder_option: EncoderSettingOption = None,
    cache: CacheOption = None,
    items: ItemsOption = None,
    features: FeaturesOption = None,
    kind: KindOption = None,
    column: ColumnOption = None,
    user: UserOption = None,
    attribute: AttributeOption = None,
    max_pairs: MaxPairsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fit a model to DATA and save it as a run.

    A fit that was interrupted goes on where it was when the same command is given again.
    """
    from pluralism.cli.encoding import Encoding
    from pluralism.cli.fit_summary import fit_document, render_fit
    from pluralism.cli.output import output
    from pluralism.cli.progress import piece_in_words, stages
    from pluralism.cli.reading import Reading, naming
    from pluralism.cli.run_directory import (
        CHECKPOINT,
        DataRecord,
        EncoderRecord,
        RunRecord,
        clear_checkpoint,
        file_record,
        refuse_foreign,
        save_run,
    )

    refuse_foreign(out)
    changes = _changes(groups, covariate, item_effects, ties, ridge, settings_of(setting, "--set"))
    recipe, built = model_of(model, changes | {"rng": seed})
    estimator: Any = built
    encoding = Encoding(encoder, settings_of(encoder_option), cache)
    reading = Reading(kind, pairs_of(column, "--column"), user, attribute, max_pairs, items, features)
    with output(as_json) as result:
        with stages() as stage, _nothing_left_behind(lambda: clear_checkpoint(out), keep=(out / CHECKPOINT).is_dir()):
            started = time.monotonic()
            stage(f"reading {data.name}")
            comparisons, found_kind = reading.of_votes([estimator]).read_for(data, estimator.takes)
            source = file_record(data)
            stage("embedding")
            embedded, encoder_name = encoding.attach(comparisons.items, stage.share)
            comparisons = comparisons.with_items(embedded)
            with naming(data):
                estimator.fit(
                    comparisons,
                    checkpoint=out / CHECKPOINT,
                    callback=lambda piece, iteration, objective: stage(piece_in_words(piece)),
                )
            stage("saving")
            record = RunRecord(
                recipe=recipe.name,
                seed=seed,
                data=DataRecord(
                    path=source.path,
                    sha256=source.sha256,
                    kind=found_kind,
                    columns=dict(reading.columns),
                    user=user,
                    attribute=attribute,
                    max_pairs=max_pairs,
                    rows=len(comparisons),
                    users=comparisons.n_users,
                ),
                items=None if items is None else file_record(items),
                features=None if features is None else file_record(features),
                encoder=None
                if encoder_name is None
                else EncoderRecord(name=encoder_name, options=dict(encoding.options), space=embedded.feature_space),
                cache=None if cache is None else str(cache.resolve()),
            )
            save_run(out, estimator, record)
            clear_checkpoint(out)
        document = fit_document(out, recipe, estimator, comparisons, time.monotonic() - started)
        result.show(document, lambda console: render_fit(console, document))


def model_of(name: str, changes: Mapping[str, Any]) -> tuple[Recipe, PreferenceModel]:
    """A recipe by name or path, and its model with some parameters changed.

    Raises
    ------
    UsageError
        If there is no such recipe, or its model has no such parameter.
    """
    from pluralism.models.recipes import read_recipe

    recipe = read_recipe(name)
    if "n_groups" in changes and "n_groups" not in recipe.build().get_params():
        own = next((n for n in ("n_prototypes", "rank") if n in recipe.build().get_params()), None)
        raise UsageError(
            f"{recipe.kind} takes no number of groups.",
            where=f"--groups with --model {name}",
            fix=f"Use --set {own}=K." if own else "Leave out --groups, or choose --model maxmin.",
        )
    return recipe, recipe.build(**changes)


def _changes(
    groups: str | None,
    covariates: list[str] | None,
    item_effects: bool | None,
    ties: str | None,
    ridge: str | None,
    settings: dict[str, Any],
) -> dict[str, Any]:
    """The parameters that options change; a parameter given twice is refused."""
    if ties not in (None, "half", "davidson"):
        raise UsageError(f"{ties!r} is not possible.", where="--ties", fix="Use half or davidson.")
    given = {
        "n_groups": None if groups is None else number_or_auto(groups, "--groups", whole=True),
        "covariates": tuple(covariates) if covariates else None,
        "item_effects": item_effects,
        "ties": ties,
        "ridge": None if ridge is None else number_or_auto(ridge, "--ridge", whole=False),
    }
    changes = {name: value for name, value in given.items() if value is not None}
    twice = [name for name in settings if name in (*changes, "rng")]
    if twice:
        raise UsageError(f"{twice[0]} has an option of its own.", where=f"--set {twice[0]}", fix="Give it once.")
    return changes | settings


@contextmanager
def _nothing_left_behind(clear: Callable[[], None], *, keep: bool) -> Iterator[None]:
    """After an error of the user's, remove the checkpoint, unless it is that of an earlier attempt."""
    try:
        yield
    except PluralismError as error:
        if not keep and not isinstance(error, StorageError):
            clear()
        raise
