"""A tokenizer of bytes and a processor around it, for `qwen3-mini` and models with random values.

It needs no file: every byte of the text is a token, and so is every control token. A prompt has
about four times the text tokens that the published tokenizer would make of it.
"""

from typing import Any

END, PAD = "<|im_end|>", "<|endoftext|>"
CONTROL = (
    PAD,
    "<|im_start|>",
    END,
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
CHAT_TEMPLATE = (
    "{% for turn in messages %}<|im_start|>{{ turn.role }}{{ '\n' }}"
    "{% if turn.content is string %}{{ turn.content }}{% else %}"
    "{% for part in turn.content %}{% if part.type == 'video' %}"
    "<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant{{ '\n' }}{% endif %}"
)


def make_tokenizer() -> Any:  # noqa: ANN401
    """One token a byte, and the control tokens of Qwen's chats."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(CONTROL))
    from_object: Any = transformers.PreTrainedTokenizerFast
    return from_object(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[token for token in CONTROL if token not in (END, PAD)],
    )


def make_processor(model_type: str) -> Any:  # noqa: ANN401
    """The stock processor of a family with its default settings, over bytes.

    Args:
        model_type: 'qwen2_5_vl' or 'qwen3_vl'.
    """
    from transformers import (
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    is_3 = model_type == "qwen3_vl"
    processor = Qwen3VLProcessor if is_3 else Qwen2_5_VLProcessor
    return processor(
        image_processor=Qwen2VLImageProcessor(patch_size=16 if is_3 else 14),
        tokenizer=make_tokenizer(),
        video_processor=Qwen3VLVideoProcessor() if is_3 else Qwen2VLVideoProcessor(),
        chat_template=CHAT_TEMPLATE,
    )


def ids(tokenizer: Any) -> dict[str, int]:  # noqa: ANN401
    """The control tokens' ids as a config names them."""
    names = {
        "image_token_id": "<|image_pad|>",
        "video_token_id": "<|video_pad|>",
        "vision_start_token_id": "<|vision_start|>",
        "vision_end_token_id": "<|vision_end|>",
    }
    return {key: int(tokenizer.convert_tokens_to_ids(token)) for key, token in names.items()}
