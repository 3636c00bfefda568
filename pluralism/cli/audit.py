"""`pluralism audit`: where principles leave discretion, and how people, models and judges use it."""

from __future__ import annotations

from typing import Literal, cast

from pluralism.cli.audit_options import (
    AnnotatorOption,
    ByOption,
    ExamplesOption,
    FactorOption,
    GradedOption,
    GraphOption,
    LevelOption,
    MarginOption,
    MethodOption,
    MostCallsOption,
    MostCostOption,
    OrderOption,
    OutOption,
    PooledOption,
    PriceOption,
    PrinciplesOption,
    RecordOption,
    ResamplesOption,
    RidgeOption,
    SamplesOption,
    ScenarioOption,
    ThresholdOption,
    TiesOption,
    VerdictsOption,
    WhyOption,
    WorkersOption,
)
from pluralism.cli.audit_reasons import Why
from pluralism.cli.options import (
    ApiKeyOption,
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
    LlmModelOption,
    LlmOption,
    LocalOption,
    MaxPairsOption,
    SeedOption,
    UserOption,
    pairs_of,
    settings_of,
)

__all__ = ["audit"]


def audit(
    data: DataArgument,
    principles: PrinciplesOption = None,
    graph: GraphOption = None,
    annotator: AnnotatorOption = None,
    out: OutOption = None,
    pooled: PooledOption = None,
    verdicts: VerdictsOption = None,
    margin: MarginOption = 0.25,
    threshold: ThresholdOption = None,
    graded: GradedOption = False,
    why: WhyOption = False,
    factor: FactorOption = None,
    ties: TiesOption = None,
    scenario: ScenarioOption = None,
    llm: LlmOption = None,
    llm_model: LlmModelOption = None,
    api_key_env: ApiKeyOption = "OPENAI_API_KEY",
    local: LocalOption = None,
    order: OrderOption = "both",
    method: MethodOption = "auto",
    samples: SamplesOption = 4,
    workers: WorkersOption = 1,
    record: RecordOption = None,
    price: PriceOption = None,
    most_cost: MostCostOption = None,
    most_calls: MostCallsOption = None,
    ridge: RidgeOption = 0.25,
    by: ByOption = "comparison",
    bootstrap: ResamplesOption = 1000,
    level: LevelOption = 0.95,
    examples: ExamplesOption = 10,
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
    """Audit how annotators of DATA use the discretion that principles leave them.

    Where all principles agree, verdicts against them are arbitrary; where they conflict, verdicts say which principle
    comes first. Principles with a factor are counted; others need --verdicts or a language model.
    """
    from pluralism.cli.audit_graph import chosen_principles, elicited_order
    from pluralism.cli.audit_judge import Judge
    from pluralism.cli.audit_reading import groups_of, read_annotators, read_oracle
    from pluralism.cli.audit_tables import Findings, render_audit
    from pluralism.cli.audit_writing import check_folder, write_audit
    from pluralism.cli.encoding import Encoding
    from pluralism.cli.named_model import NamedModel
    from pluralism.cli.output import output
    from pluralism.cli.progress import stages
    from pluralism.cli.reading import Reading, naming
    from pluralism.discretion import audit_discretion, graph_discrepancy
    from pluralism.discretion.measures.intervals import check_level

    check_level(level, bootstrap)
    chosen = chosen_principles(principles, graph)
    ranking = None if graph is None else elicited_order(graph, bootstrap, level, seed)
    who = list(annotator or ["human"])
    check_folder(out)
    reading = Reading(kind, pairs_of(column, "--column"), user, attribute, max_pairs, items, features)
    encoding = Encoding(encoder, settings_of(encoder_option), cache)
    limits = {"price": price, "most_cost": most_cost, "most_calls": most_calls}
    asking = {"order": order, "method": method, "samples": samples, "workers": workers, "rng": seed}
    model = NamedModel(llm, llm_model, api_key_env, local, "An audit has one judge.")
    reasons = Why.of(why, factor, ties, scenario)
    with output(as_json) as result, Judge(model, record, out, limits, asking) as judge:
        with stages() as stage:
            stage("reading")
            comparisons, _ = reading.read(data)
            with naming(data):
                if reasons is not None:
                    reasons.check(comparisons)
                stage("principles")
                found = read_oracle(comparisons, chosen, judge, verdicts, margin, stage.share)
                stage("annotators")
                people = read_annotators(who, comparisons, data, reading, encoding, judge, stage.share)
                stage(f"{bootstrap:,} resamples" if bootstrap else "counting")
                made = audit_discretion(
                    comparisons,
                    found,
                    people,
                    threshold=threshold,
                    graded=graded,
                    ridge=ridge,
                    by=cast(Literal["comparison", "annotator"], by),
                    n_bootstrap=bootstrap,
                    level=level,
                    rng=seed,
                )
                explained = None
                if reasons is not None:
                    stage("reasons")
                    explained = reasons.explain(comparisons, made, seed)
            elicited = None if ranking is None else graph_discrepancy(made, ranking)
            findings = Findings(made, chosen, groups_of(made, pooled), explained, elicited)
            written: list[str] = []
            if out is not None:
                stage("report")
                written = write_audit(out, findings, comparisons, examples)
        document = findings.to_dict() | {
            "data": str(data),
            "principle_set": chosen.name,
            "judge": judge.spent(),
            "out": None if out is None else str(out),
            "files": written,
        }
        result.show(document, lambda console: render_audit(console, findings, document))
