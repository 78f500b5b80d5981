"""From prompts and features to letters: greedy generation by transformers' own `generate`."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutputWithPooling

from evaluators.models.qwen.prompt import Prompt
from evaluators.models.qwen.tower import Features
from evaluators.models.qwen.weights import device_of
from evaluators.timing import GENERATE, PREFILL, Stopwatch

GREEDY: Mapping[str, Any] = {"do_sample": False, "num_beams": 1, "repetition_penalty": 1.0}
"""Whatever the weights' own generation settings say."""


@dataclass(frozen=True)
class Generated:
    """What came after a prompt.

    Args:
        ids: New tokens.
        logits: Of each of them, float32 (new tokens, vocabulary).
    """

    ids: Tensor
    logits: Tensor


class _FirstToken:
    """Told of every token's scores: ends the stage of the prompt at the first."""

    def __init__(self, stack: ExitStack, clock: Stopwatch) -> None:
        self._stack, self._clock = stack, clock
        self._is_first = True
        stack.enter_context(clock.stage(PREFILL))

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if self._is_first:
            self._is_first = False
            self._stack.close()
            self._stack.enter_context(self._clock.stage(GENERATE))
        return scores


def generate(
    model: Any,  # noqa: ANN401
    prompts: Sequence[Prompt],
    features: Sequence[Features | None],
    *,
    max_new_tokens: int,
    clock: Stopwatch,
) -> list[Generated]:
    """Answer prompts together, shorter ones padded on the left.

    Args:
        model: The loaded model.
        prompts: One for each answer.
        features: Of each prompt's visual tokens; None where it has none.
        max_new_tokens: At most so many are generated.
        clock: Told of prefill and generation.
    """
    device = device_of(model)
    ids, mask, positions = _batch(prompts, pad_id=_pad_id(model))
    inputs = {"input_ids": ids, "attention_mask": mask, "position_ids": positions}
    shown = [one.to(str(device)) for one in features if one is not None]
    encoded = {} if not shown else {"mm_encoder_outputs": {"video": as_encoded(shown)}}
    return greedy(model, inputs, max_new_tokens=max_new_tokens, clock=clock, **encoded)


def greedy(
    model: Any,  # noqa: ANN401
    inputs: Mapping[str, Tensor],
    *,
    max_new_tokens: int,
    clock: Stopwatch,
    **more: Any,  # noqa: ANN401
) -> list[Generated]:
    """Generate by the model's own `generate`, whatever it is given beside the ids.

    Args:
        model: The loaded model.
        inputs: `input_ids` (prompts, length), and what else the model takes as tensors.
        max_new_tokens: At most so many are generated.
        clock: Told of prefill and generation.
        more: What the model takes beside tensors.
    """
    device, length = device_of(model), inputs["input_ids"].shape[1]
    with torch.inference_mode(), ExitStack() as stack:
        out = model.generate(
            **{name: values.to(device) for name, values in inputs.items()},
            max_new_tokens=max_new_tokens,
            logits_processor=[_FirstToken(stack, clock)],
            pad_token_id=_pad_id(model),
            output_logits=True,
            return_dict_in_generate=True,
            **GREEDY,
            **more,
        )
    logits = torch.stack(out.logits, dim=1).float()  # (prompts, new tokens, vocabulary)
    return [Generated(*one) for one in zip(out.sequences[:, length:], logits, strict=True)]


def _batch(prompts: Sequence[Prompt], *, pad_id: int) -> tuple[Tensor, Tensor, Tensor]:
    """Ids and mask (prompts, length); positions (4, prompts, length): text's own, and M-RoPE's."""
    length = max(len(prompt.ids) for prompt in prompts)
    ids = torch.full((len(prompts), length), pad_id)
    mask = torch.zeros_like(ids)
    positions = torch.zeros(4, len(prompts), length, dtype=torch.long)
    for i, prompt in enumerate(prompts):
        first = length - len(prompt.ids)
        ids[i, first:] = prompt.ids
        mask[i, first:] = 1
        positions[0, i, first:] = torch.arange(len(prompt.ids))
        positions[1:, i, first:] = prompt.positions
    return ids, mask, positions


@dataclass
class Encoded(BaseModelOutputWithPooling):
    """What transformers' towers give, of either family; its own class must be a model's output."""

    deepstack_features: list[list[Tensor]] | None = None


def as_encoded(features: Sequence[Features]) -> Encoded:
    """What transformers expects of an encoder: a list of videos' tokens, and of each layer's."""
    layers = zip(*(one.deepstack for one in features), strict=True)
    return Encoded(
        pooler_output=[one.tokens for one in features],  # type: ignore[arg-type]
        deepstack_features=[list(layer) for layer in layers],
    )


def _pad_id(model: Any) -> int:  # noqa: ANN401
    settings = model.generation_config
    if settings.pad_token_id is not None:
        return int(settings.pad_token_id)
    end = settings.eos_token_id
    return int(end[0] if isinstance(end, list) else end)
