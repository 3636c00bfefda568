"""Pairs made from rewards go into recipes as they are, as texts and as messages, paired and unpaired."""

from __future__ import annotations

import numpy as np
import pytest
import tiny_lm as models

from pluralism.policy.lm.conditioned_pairs import ConditionedPairs
from pluralism.policy.lm.recipes import DPO, KTO, CurryDPO, SupervisedTuning
from pluralism.policy.lm.recipes.training_rows import groups_of


@pytest.fixture(scope="module", params=[None, "told"])
def conditioned(request, pairs):
    groups = ("a", "b")
    systems = (None, None) if request.param is None else (models.SYSTEMS["warm"], models.SYSTEMS["plain"])
    return ConditionedPairs(
        groups=groups,
        group=np.array([groups.index(row["group"]) for row in pairs]),
        prompts=tuple(row["prompt"] for row in pairs),
        chosen=tuple(row["chosen"] for row in pairs),
        rejected=tuple(row["rejected"] for row in pairs),
        margin=np.arange(8.0),
        stage=np.array([0, 1] * 4),
        systems=systems,
        made=np.array([4, 4]),
    )


def test_all_forms_are_one(conditioned, pairs, tiny_lm, other_lm):
    forms = (
        conditioned,
        conditioned.to_frame(),
        conditioned.to_dataset(),
        conditioned.to_dataset(conversational=False),
    )
    losses = [DPO().loss(other_lm, rows, reference=tiny_lm) for rows in forms]
    assert losses == [losses[0]] * 4
    plain = DPO().loss(other_lm, pairs, reference=tiny_lm)
    assert (losses[0] == pytest.approx(plain, rel=1e-6)) == (conditioned.systems[0] is None)
    assert groups_of(conditioned) == ("a", "b")
    of_a = DPO().loss(other_lm, conditioned.to_dataset(), group="a", reference=tiny_lm)
    assert of_a == DPO().loss(other_lm, conditioned.of_group("a"), reference=tiny_lm)


def test_thumbs_and_stages(conditioned, tiny_lm, other_lm):
    forms = (conditioned, *(conditioned.to_unpaired(conversational=spoken) for spoken in (True, False)))
    unpaired = [KTO().loss(other_lm, rows, group="a", reference=tiny_lm) for rows in forms]
    assert unpaired == [unpaired[0]] * 3
    assert CurryDPO().stages_of(conditioned) == [[0, 2, 4, 6], [1, 3, 5, 7]]
    one = conditioned.of_stage(1)
    assert CurryDPO(stages=2).stages_of(one) == [[3, 2], [1, 0]]


def test_supervised_tuning_takes_what_is_chosen(conditioned, pairs, tiny_lm):
    forms = (conditioned, *(conditioned.to_answers(conversational=spoken) for spoken in (True, False)))
    losses = [SupervisedTuning().loss(tiny_lm, rows, group="a") for rows in forms]
    assert losses == [losses[0]] * 3
    chosen = [{"prompt": row["prompt"], "completion": row["chosen"]} for row in pairs if row["group"] == "a"]
    plain = SupervisedTuning().loss(tiny_lm, chosen)
    assert (losses[0] == pytest.approx(plain, rel=1e-6)) == (conditioned.systems[0] is None)
