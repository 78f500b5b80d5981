"""The prompt: the model's own chat template, a slice's visual tokens as one symbol until the end.

The text is made by the processor's own methods from a grid of one token a slice. Ids and positions
of the whole video follow from that: the full sequence is built as ids only, to ask the model itself
for the M-RoPE positions, of which the kept ones are taken.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evaluators.models.qwen.streams import Shown
from evaluators.pruning import MERGE, TEMPORAL, Stream
from hlvid.errors import UserError

VIDEO = 2
"""transformers' token type of videos."""


@dataclass(frozen=True)
class Prefix:
    """A prompt up to its last visual token, with the token after it.

    Args:
        symbols: Ids with one symbol a slice.
        ids: As they are sent: each symbol as often as its slice has kept tokens.
        positions: M-RoPE positions of those ids, (3, ids).
        next_position: Of the text that follows.
    """

    symbols: tuple[int, ...]
    ids: Tensor
    positions: Tensor
    next_position: int


@dataclass(frozen=True)
class Prompt:
    """One question as it is sent.

    Args:
        ids: (length,).
        positions: M-RoPE positions, (3, length).
        symbols_sha256: Digest of the ids with one symbol a slice.
        num_visual: Visual tokens among the ids.
    """

    ids: Tensor
    positions: Tensor
    symbols_sha256: str
    num_visual: int


class Prompter:
    """Writes prompts for one model.

    Args:
        model: The loaded model; gives positions.
        processor: Its processor; gives chat template, timestamps and ids.
    """

    def __init__(self, model: Any, processor: Any) -> None:  # noqa: ANN401
        self._model = model
        self._processor = processor
        self._video_id = int(model.config.video_token_id)

    def symbols(self, text: str, shown: Sequence[Shown]) -> list[int]:
        """Ids of a prompt in which every slice has one visual token.

        Raises:
            UserError: The text holds one of the model's control tokens.
        """
        tokenizer = self._processor.tokenizer
        refuse_control_tokens(tokenizer, text)
        content = [*({"type": "video"} for _ in shown), {"type": "text", "text": text}]
        written = tokenizer.apply_chat_template(
            [{"role": "user", "content": content}],
            chat_template=self._processor.chat_template,
            tokenize=False,
            add_generation_prompt=True,
        )
        replaced, _ = self._processor.get_text_with_replacements(
            [written], videos_replacements=[self._placeholder(one) for one in shown]
        )
        return [int(token) for token in tokenizer(replaced[0])["input_ids"]]

    def prefix(self, shown: Sequence[Shown], kept: Sequence[Stream]) -> Prefix:
        """What all questions about a video have in common.

        Args:
            shown: The streams; their grids give the positions.
            kept: The same grids with the tokens that are in the prompt.
        """
        symbols = torch.tensor(self.symbols("", shown))
        is_slice = symbols == self._video_id
        if not shown:
            return Prefix((), symbols[:0], symbols.new_zeros(3, 0), 0)
        symbols = symbols[: int(is_slice.nonzero()[-1]) + 2]
        is_slice = symbols == self._video_id
        sizes = [one.rows * one.cols for one in kept for _ in range(one.slices)]
        counts = torch.from_numpy(np.concatenate([one.per_slice for one in kept]))
        full = _expand(symbols, is_slice, torch.tensor(sizes))
        positions = self._positions(full, shown)
        is_kept = full != self._video_id
        starts = np.cumsum([0, *(one.num_all for one in kept)])
        index = np.concatenate([one.index + s for one, s in zip(kept, starts, strict=False)])
        visual = (~is_kept).nonzero().flatten()
        is_kept[visual[torch.from_numpy(index)]] = True
        return Prefix(
            symbols=tuple(symbols.tolist()),
            ids=_expand(symbols, is_slice, counts),
            positions=positions[:, is_kept],
            next_position=int(positions[0, -1]) + 1,
        )

    def prompt(self, text: str, shown: Sequence[Shown], prefix: Prefix) -> Prompt:
        """A question after what is common."""
        symbols = self.symbols(text, shown)
        length = len(prefix.symbols)
        if tuple(symbols[:length]) != prefix.symbols:
            raise UserError("chat template: puts something else before the video for every text.")
        rest = torch.tensor(symbols[length:])
        after = torch.arange(prefix.next_position, prefix.next_position + len(rest))
        return Prompt(
            ids=torch.cat([prefix.ids, rest]),
            positions=torch.cat([prefix.positions, after.expand(3, -1)], dim=1),
            symbols_sha256=digest_of(symbols),
            num_visual=int((prefix.ids == self._video_id).sum()),
        )

    def _placeholder(self, shown: Shown) -> str:
        """What stands for a stream in the text, one visual token a slice."""
        grid = torch.tensor([[shown.stream.slices, MERGE, MERGE]])
        inputs = {"video_grid_thw": grid, "video_metadata": [metadata(shown)]}
        return str(self._processor.replace_video_token(inputs, video_idx=0))

    def _positions(self, ids: Tensor, shown: Sequence[Shown]) -> Tensor:
        """M-RoPE positions of all ids of the unpruned sequence, (3, ids)."""
        more: dict[str, Any] = {}
        if self._model.config.model_type == "qwen2_5_vl":
            rates = [metadata(one).sampled_fps for one in shown]
            more["second_per_grid_ts"] = torch.tensor([TEMPORAL / rate for rate in rates])
        positions: Tensor = self._model.model.get_rope_index(
            ids[None],
            mm_token_type_ids=(ids[None] == self._video_id).int() * VIDEO,
            video_grid_thw=torch.tensor([one.stream.grid_thw for one in shown]),
            **more,
        )[0]
        return positions[:, 0]


def refuse_control_tokens(tokenizer: Any, text: str) -> None:  # noqa: ANN401
    """Let no question write turns of its own.

    Raises:
        UserError: The text holds one of the model's control tokens.
    """
    control = [token for token in tokenizer.all_special_tokens if token in text]
    if control:
        raise UserError(f"question: holds the model's control token {control[0]!r}.")


def digest_of(symbols: Sequence[int]) -> str:
    """SHA-256 of ids as little-endian 64-bit integers."""
    return hashlib.sha256(np.array(symbols, dtype="<i8").tobytes()).hexdigest()


def metadata(shown: Shown) -> Any:  # noqa: ANN401
    """A stream for the stock processor: "frame numbers" are seconds, of which one is one second."""
    from transformers.video_utils import VideoMetadata

    seconds = shown.slice_seconds
    num_frames = len({frame for pair in shown.frames for frame in pair})
    span = seconds[-1] - seconds[0]
    spacing = span / (num_frames - 1) if span > 0 else 1.0
    if all(first == second for first, second in shown.frames):
        spacing /= TEMPORAL
    return VideoMetadata(
        total_num_frames=len(seconds) * spacing,  # type: ignore[arg-type]
        fps=1.0,
        frames_indices=seconds,  # type: ignore[arg-type]
    )


def _expand(symbols: Tensor, is_slice: Tensor, counts: Tensor) -> Tensor:
    """Ids with each slice's symbol as often as counted."""
    times = torch.ones_like(symbols)
    times[is_slice] = counts.to(times.dtype)
    return symbols.repeat_interleave(times)
