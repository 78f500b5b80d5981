"""What a step of training lowers, and what it tells of each task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluators.models.qwen import byte_tokens
from evaluators.models.qwen.generate import as_encoded
from evaluators.models.qwen.tower import Features
from evaluators.pruning import normalise
from evaluators.train.batches import IGNORED, Batch
from evaluators.train.looks import CLASSES, LETTERED, SLOTS
from evaluators.train.model import FAMILY, Mini
from evaluators.train.settings import TASKS, MiniSettings

END_WEIGHT = 0.2
"""Of the end of an answer, which is soon known."""
EMPTY_WEIGHT = 0.1
"""Of places that show no character, which are most."""
COUNTED = ("characters", "characters_right", "patches", "patches_right")


class Answering(nn.Module):
    """The loss of answers, of options' matches and of cells.

    Args:
        model: With its heads.
        settings: Weights of the parts.
    """

    def __init__(self, model: Mini, settings: MiniSettings) -> None:
        super().__init__()
        self.model, self.settings = model, settings
        processor: Any = byte_tokens.make_processor(FAMILY)
        self._video_processor: Any = processor.video_processor
        self._end = int(processor.tokenizer.eos_token_id)
        self.freezes_tower = False

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The objective ("loss"), its parts, and sums of what was asked and what was right."""
        features = self._features(batch)
        dense, found = self._dense(features.tokens, batch.labels)
        zero = dense.new_zeros(())
        for task in TASKS[1:]:
            found |= {f"{task}_asked": zero, f"{task}_right": zero}
        found |= {"answer_loss": zero, "match_loss": zero}
        if len(batch.ids) == 0:
            return {"loss": dense, **found}
        hidden = self._hidden(batch, _shown(features, batch.seen))
        answer, right = self._answers(hidden, batch)
        match = self._matches(hidden, batch.matches)
        task = TASKS[batch.task]
        found |= {
            f"{task}_asked": zero + len(right),
            f"{task}_right": right.sum().float(),
            "answer_loss": answer.detach(),
            "match_loss": match.detach(),
        }
        settings = self.settings
        loss = answer + settings.match_weight * match + settings.dense_weight * dense
        return {"loss": loss, **found}

    def _features(self, batch: Batch) -> Features:
        """What the tower makes of all looks' tokens."""
        pixels = normalise(batch.patches, self._video_processor)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.freezes_tower):
            out = self.model.tower(pixels, grid_thw=batch.grids, **batch.hooks)
        return Features(out.pooler_output, tuple(out.deepstack_features))

    def _dense(self, tokens: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean cross-entropy of the labels, those of empty places weighing less; characters right.

        Most cells show no character: they would be all that is learnt at first.
        """
        losses = []
        told = {name: tokens.new_zeros((), dtype=torch.float32) for name in COUNTED}
        for place, logits in enumerate(self.model.cells(tokens)):
            wanted = labels[..., place].flatten()
            given = logits.flatten(0, 1).float()
            weight = given.new_ones(CLASSES[place])
            weight[0] = EMPTY_WEIGHT
            losses.append(F.cross_entropy(given, wanted, weight=weight))
            if place < LETTERED:
                name = "characters" if place < SLOTS else "patches"
                is_character = wanted > 0
                told[name] += is_character.sum()
                told[f"{name}_right"] += (is_character & (given.argmax(-1) == wanted)).sum()
        loss = torch.stack(losses).mean()
        return loss, {"dense_loss": loss.detach(), **told}

    def _hidden(self, batch: Batch, features: Features) -> Tensor:
        """The language model's last states, (looks, length, width)."""
        hidden: Tensor = self.model.network.model(
            input_ids=batch.ids,
            attention_mask=batch.mask,
            position_ids=batch.positions,
            mm_encoder_outputs={"video": as_encoded([features])},
            use_cache=False,
        ).last_hidden_state
        return hidden

    def _answers(self, hidden: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Mean cross-entropy of the answers, and whether each is right from end to end."""
        is_said = batch.targets != IGNORED
        logits = self.model.network.lm_head(hidden[is_said]).float()
        wanted = batch.targets[is_said]
        weight = torch.where(wanted == self._end, END_WEIGHT, 1.0)
        most = int(batch.parts.max()) + 1
        look = torch.arange(len(batch.ids), device=wanted.device)[:, None].expand_as(batch.parts)
        ask = (look * most + batch.parts)[is_said]
        num, wrong = (ask.new_zeros(len(batch.ids) * most) for _ in range(2))
        num.index_add_(0, ask, torch.ones_like(ask))
        wrong.index_add_(0, ask, (logits.argmax(-1) != wanted).long())
        losses = F.cross_entropy(logits, wanted, reduction="none")
        return (losses * weight).sum() / weight.sum(), wrong[num > 0] == 0

    def _matches(self, hidden: Tensor, matches: Tensor) -> Tensor:
        """Mean binary cross-entropy over bytes of options; 0 where there are none."""
        is_told = matches != IGNORED
        given: Tensor = self.model.match(hidden[is_told].float()).squeeze(-1).float()
        if given.numel() == 0:
            return given.sum()
        return F.binary_cross_entropy_with_logits(given, matches[is_told].float())


def _shown(features: Features, is_seen: Tensor) -> Features:
    """Those of the tokens that prompts show."""
    if bool(is_seen.all()):
        return features
    return Features(features.tokens[is_seen], tuple(level[is_seen] for level in features.deepstack))


def summarise(values: Mapping[str, float]) -> dict[str, float]:
    """Sums as shares: `read_accuracy` of `read_asked` and `read_right`; what was not asked goes."""
    found = {
        name: value
        for name, value in values.items()
        if not name.endswith(("_asked", "_right")) and name not in COUNTED
    }
    for name in ("characters", "patches"):
        if values.get(name):
            found[f"{name}_accuracy"] = values[f"{name}_right"] / values[name]
    asked = [task for task in TASKS[1:] if values.get(f"{task}_asked")]
    for task in asked:
        found[f"{task}_accuracy"] = values[f"{task}_right"] / values[f"{task}_asked"]
    if not asked:
        found.pop("answer_loss", None)
        found.pop("match_loss", None)
    return found
