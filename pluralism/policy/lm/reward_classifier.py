"""A frozen encoder, pooled, and a linear head, as a sequence classifier of transformers.

This file stands alone: it is copied beside the weights that it saves, so that tools without this library can load them
with ``trust_remote_code=True``.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

__all__ = ["RewardClassifier", "RewardClassifierConfig"]


class RewardClassifierConfig(PretrainedConfig):
    """What a `RewardClassifier` is made of.

    Parameters
    ----------
    encoder : dict
        Configuration of the transformer.
    pooling : {"mean", "cls", "last"}
        How vectors of tokens become one.
    layer : int, optional
        Which hidden state is pooled; the last by default.
    normalize : bool
        Whether vectors have unit length.
    reads : int
        Tokens of a text that are read; of a longer one the first, and the marks that close it.
    closing : int
        How many tokens close a text.
    """

    model_type = "pluralism-reward"

    def __init__(
        self,
        encoder: dict[str, Any] | None = None,
        pooling: str = "mean",
        layer: int | None = None,
        normalize: bool = True,
        reads: int = 512,
        closing: int = 1,
        **others: Any,
    ) -> None:
        self.encoder = {} if encoder is None else dict(encoder)
        self.pooling, self.layer, self.normalize = pooling, layer, normalize
        self.reads, self.closing = reads, closing
        super().__init__(**others)


class RewardClassifier(PreTrainedModel):
    """Rewards of texts: one logit for each group, a linear function of the pooled vector.

    Parameters
    ----------
    config : RewardClassifierConfig
    """

    config_class = RewardClassifierConfig
    base_model_prefix = "encoder"

    def __init__(self, config: RewardClassifierConfig) -> None:
        super().__init__(config)
        kind = dict(config.encoder)
        self.encoder = AutoModel.from_config(AutoConfig.for_model(kind.pop("model_type"), **kind))
        self.score = torch.nn.Linear(self.encoder.config.hidden_size, config.num_labels)
        self.post_init()

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **others: Any,
    ) -> SequenceClassifierOutput:
        """Rewards of texts.

        Parameters
        ----------
        input_ids, attention_mask : int tensors of shape (texts, tokens)
            Padded on either side.
        labels : tensor of shape (texts,) or (texts, num_labels), optional
            Rewards to be met: then the mean squared error is the loss.
        **others
            What trainers pass to models that write; not used.

        Returns
        -------
        SequenceClassifierOutput
            `logits` of shape (texts, num_labels).
        """
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        ids, mask = self._shortened(input_ids, mask.long())
        layer = self.config.layer
        output = self.encoder(
            input_ids=ids, attention_mask=mask, output_hidden_states=layer is not None, return_dict=True
        )
        hidden = output.last_hidden_state if layer is None else output.hidden_states[layer]
        pooled = self._pooled(hidden.float(), mask)
        if self.config.normalize:
            pooled = torch.nn.functional.normalize(pooled, dim=1, eps=1e-30)
        logits = self.score(pooled.to(self.score.weight.dtype))
        loss = None
        if labels is not None:
            loss = torch.nn.functional.mse_loss(logits.float(), labels.float().reshape(logits.shape))
        return SequenceClassifierOutput(loss=loss, logits=logits)

    def _shortened(self, ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows with their tokens to the left; of a long one the first, and those that close it."""
        order = torch.argsort(mask, dim=1, descending=True, stable=True)
        ids, lengths = ids.gather(1, order), mask.sum(1)
        most, closing = self.config.reads, self.config.closing
        if int(lengths.max()) > most:
            long = lengths > most
            kept = ids[:, :most].clone()
            for k in range(1, closing + 1):
                kept[long, most - k] = ids[long, lengths[long] - k]
            ids, lengths = kept, lengths.clamp(max=most)
        mask = (torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]).long()
        return ids, mask

    def _pooled(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        lengths = mask.sum(1)
        if self.config.pooling == "cls":
            return hidden[:, 0]
        if self.config.pooling == "last":
            return hidden[torch.arange(len(hidden), device=hidden.device), lengths - 1]
        return torch.where(mask[..., None] > 0, hidden, 0.0).sum(1) / lengths[:, None]


AutoConfig.register("pluralism-reward", RewardClassifierConfig, exist_ok=True)
AutoModelForSequenceClassification.register(RewardClassifierConfig, RewardClassifier, exist_ok=True)
RewardClassifierConfig.register_for_auto_class()
RewardClassifier.register_for_auto_class("AutoModelForSequenceClassification")
