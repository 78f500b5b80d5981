"""Keep-all as transformers runs it: the processor's own pixels, the tower's own attention.

What it answers otherwise than `off-bare` is what the implementation changes. It sees each question
with the whole video again, as stock code does.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evaluators import attention
from evaluators.examinee import Infeasible
from evaluators.models.qwen.generate import Generated, greedy
from evaluators.models.qwen.prompt import Prompt, digest_of, metadata, refuse_control_tokens
from evaluators.models.qwen.streams import Shown
from evaluators.timing import Stopwatch

STOCK_ATTENTION = "sdpa"
"""What transformers takes where nobody says."""


def check_pairs(shown: Shown) -> None:
    """Refuse frames that stock code would pair otherwise.

    Raises:
        Infeasible: Frames are repeated instead of paired.
    """
    if len(shown.frames) > 1 and all(first == second for first, second in shown.frames):
        raise Infeasible("off-generate: stock code pairs frames. Use --pairing stock.")


def generate(
    model: Any,  # noqa: ANN401
    processor: Any,  # noqa: ANN401
    shown: Shown,
    text: str,
    *,
    max_new_tokens: int,
    clock: Stopwatch,
    check: Callable[[int], None],
) -> tuple[Prompt, Generated]:
    """Answer one question by the processor's and the model's own code.

    Args:
        model: The loaded model; its attention is exchanged for that time.
        processor: Of the weights.
        shown: All tokens of the canvas; the grid covers a frame exactly.
        text: Of the question.
        max_new_tokens: At most so many are generated.
        clock: Told of preprocessing, prefill (the tower is in it) and generation.
        check: Given the length of the prompt before the model is; refuses one that is too long.

    Raises:
        UserError: The text holds one of the model's control tokens.
    """
    refuse_control_tokens(processor.tokenizer, text)
    with clock.stage("preprocess"):
        inputs = processor(
            text=[_written(processor, text)],
            videos=[torch.from_numpy(np.array(shown.pixels)).permute(0, 3, 1, 2)],
            video_metadata=[metadata(shown)],
            do_sample_frames=False,
            do_resize=False,
            cap_pixels_per_frame=False,  # Of resizing; unsaid, a warning stands before the table.
            return_tensors="pt",
        )
    check(inputs["input_ids"].shape[1])
    with _stock_attention(model):
        (generated,) = greedy(model, inputs, max_new_tokens=max_new_tokens, clock=clock)
    return _prompt(inputs["input_ids"][0], int(model.config.video_token_id), shown), generated


def _written(processor: Any, text: str) -> str:  # noqa: ANN401
    content = [{"type": "video"}, {"type": "text", "text": text}]
    return str(
        processor.tokenizer.apply_chat_template(
            [{"role": "user", "content": content}],
            chat_template=processor.chat_template,
            tokenize=False,
            add_generation_prompt=True,
        )
    )


@contextmanager
def _stock_attention(model: Any) -> Iterator[None]:  # noqa: ANN401
    model.set_attn_implementation({"vision_config": STOCK_ATTENTION})
    try:
        yield
    finally:
        model.set_attn_implementation({"vision_config": attention.NAME})


def _prompt(ids: Tensor, video_id: int, shown: Shown) -> Prompt:
    """The prompt as sent; without positions, which the model gives itself."""
    is_visual = ids == video_id
    number = is_visual.cumsum(0) - 1
    is_symbol = ~is_visual | (number % (shown.stream.rows * shown.stream.cols) == 0)
    return Prompt(
        ids=ids,
        positions=ids.new_zeros(3, 0),
        symbols_sha256=digest_of(ids[is_symbol].tolist()),
        num_visual=int(is_visual.sum()),
    )
