"""The vision tower over kept tokens, and what is dropped only after it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evaluators.models.qwen.streams import Shown
from evaluators.models.qwen.weights import device_of
from evaluators.pruning import PAD_TOKENS, ROWS, Places, gather, normalise, place
from evaluators.timing import Stopwatch

MOST_ROWS = 131_072
"""Patch rows of one call: four slices of 4K. Runs of whole slices share a call."""


@dataclass(frozen=True)
class Features:
    """What a tower makes of tokens, in the order of the prompt.

    Args:
        tokens: (tokens, width of the language model).
        deepstack: As tokens, one for each of the language model's first layers; none for
            Qwen2.5-VL.
    """

    tokens: Tensor
    deepstack: tuple[Tensor, ...] = ()

    def __getitem__(self, index: Tensor) -> "Features":
        """Those of some tokens."""
        return Features(self.tokens[index], tuple(layer[index] for layer in self.deepstack))

    def to(self, device: str) -> "Features":
        """On another device."""
        moved = tuple(layer.to(device) for layer in self.deepstack)
        return Features(self.tokens.to(device), moved)

    @staticmethod
    def concatenate(parts: Sequence["Features"]) -> "Features":
        """One after the other."""
        layers = zip(*(part.deepstack for part in parts), strict=True)
        tokens = torch.cat([part.tokens for part in parts])
        return Features(tokens, tuple(torch.cat(layer) for layer in layers))


@dataclass(frozen=True)
class Tower:
    """A Qwen-VL vision tower as it is called here.

    Args:
        network: `model.model.visual`, its attention registered under a name with "flash".
        video_processor: Of the weights; normalises.
        most_rows: Patch rows of one call.
        pad_to: Tokens that a call's are rounded up to a multiple of.
    """

    network: Any
    video_processor: Any
    most_rows: int = MOST_ROWS
    pad_to: int = 1

    @classmethod
    def of(cls, model: Any, video_processor: Any) -> "Tower":  # noqa: ANN401
        """The tower of a loaded model, padded where shapes have to be warmed up."""
        network = model.model.visual
        is_cuda = next(network.parameters()).device.type == "cuda"
        return cls(network, video_processor, pad_to=PAD_TOKENS if is_cuda else 1)

    def encode(self, shown: Sequence[Shown], clock: Stopwatch) -> Features | None:
        """Encode the shown tokens of all streams; None where there are none.

        The pixels are gathered call by call: those of a whole video never exist together.
        """
        parts = []
        for runs in self._runs(shown):
            with clock.stage("preprocess"):
                rows = np.concatenate([gather(run.pixels, run.frames, run.stream) for run in runs])
                places = place([run.stream for run in runs], self.network, pad_to=self.pad_to)
            with clock.stage("encode"):
                parts.append(self._call(rows, places, [run.stream.grid_thw for run in runs]))
        return Features.concatenate(parts) if parts else None

    def shapes(self, shown: Sequence[Shown]) -> tuple[int, ...]:
        """Tokens of every call, padding included: what a warm-up is good for."""
        counts = [sum(run.stream.index.size for run in runs) for runs in self._runs(shown)]
        return tuple(-(-count // self.pad_to) * self.pad_to for count in counts)

    def _runs(self, shown: Sequence[Shown]) -> Iterator[list[Shown]]:
        """Runs of whole slices of the streams, as many in one call as it may have rows."""
        runs: list[Shown] = []
        left = self.most_rows
        for one in shown:
            first = 0
            for at, count in enumerate((one.stream.per_slice * ROWS).tolist()):
                if count > left and left < self.most_rows:
                    if at > first:
                        runs.append(one.part(first, at))
                    yield runs
                    runs, first, left = [], at, self.most_rows
                left -= count
            runs.append(one.part(first, one.stream.slices))
        if any(run.stream.index.size for run in runs):
            yield runs

    def _call(
        self, rows: NDArray[np.uint8], places: Places, grids: Sequence[tuple[int, int, int]]
    ) -> Features:
        device = device_of(self.network)
        pixels = normalise(torch.from_numpy(rows).to(device), self.video_processor)
        pixels = pixels.to(next(self.network.parameters()).dtype)
        if places.num_padding:
            padding = pixels.new_zeros(places.num_padding * ROWS, pixels.shape[1])
            pixels = torch.cat([pixels, padding])
        hooks = {
            name: hook.to(device) if isinstance(hook, Tensor) else hook
            for name, hook in places.hooks.items()
        }
        with torch.inference_mode():
            out = self.network(pixels, grid_thw=torch.tensor(grids, device=device), **hooks)
        deepstack = getattr(out, "deepstack_features", None) or ()
        real = slice(places.num_tokens)
        return Features(out.pooler_output[real], tuple(layer[real] for layer in deepstack))


def most_changed(features: Tensor, slices: int, num_kept: int) -> Tensor:
    """EVS: the tokens that differ most from the slice before, at their own place.

    Efficient Video Sampling (arXiv 2510.14624): one less the cosine similarity of a token's
    features to those of the slice before. The first slice is kept whole: fewer tokens than it has
    cannot be kept.

    Args:
        features: (slices * tokens of a slice, width).
        slices: Of the video.
        num_kept: Tokens to keep; raised to one slice.

    Returns:
        Indices of the kept tokens, ascending.
    """
    grid = features.view(slices, -1, features.shape[-1]).float()
    change = 1 - torch.nn.functional.cosine_similarity(grid[1:], grid[:-1], dim=-1)
    first = torch.full_like(grid[:1, :, 0], torch.inf)
    scores = torch.cat([first, change]).flatten()
    num_kept = max(num_kept, grid.shape[1])
    order = scores.argsort(descending=True, stable=True)[:num_kept]
    return order.sort().values
