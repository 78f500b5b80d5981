"""Batches: looks and what is asked about them, a function of their number alone."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from evaluators.models.qwen import byte_tokens
from evaluators.models.qwen.prompt import Prompter
from evaluators.models.qwen.streams import Shown
from evaluators.pruning import place
from evaluators.train.looks import Look
from evaluators.train.model import FAMILY, make_network
from evaluators.train.scenes import SCENES_AT_ONCE
from evaluators.train.settings import TASKS, MiniSettings, ModelSettings, Stage, Task
from evaluators.train.tasks import Ask, draw_num_asks, draw_task
from gaze.train.clips import draws

_SCENES = 2**20
_BATCHES_A_SCENE = 16
"""Batches that look at the same scenes, which are costly to lay out."""
IGNORED = -100
"""Where nothing is to be predicted."""


@dataclass(frozen=True)
class Batch:
    """What one step of training sees.

    Attributes:
        number: Of the batch: the seed of whatever is drawn for it.
        task: Index in `TASKS`.
        patches: (tokens * 4, 2, 3, 16, 16) uint8, of all looks.
        grids: (looks, 3): slices, patches down and across.
        hooks: What the tower is given beside pixels and grids.
        labels: (tokens, 2, LABELS): what each token shows.
        seen: (tokens,) whether a prompt shows it; the others are of looks that are asked about
            without being shown.
        ids: (looks, length), padded on the right: what all questions about a look share, then each
            question with its answer; without a row in the dense task.
        parts: (looks, length): 0 where questions share, then 1, 2, ... for each of them.
        positions: (4, looks, length): text's own, and M-RoPE's.
        targets: (looks, length): what comes next where an answer is said, else `IGNORED`.
        matches: (looks, length): 1 or 0 on bytes of options, else `IGNORED`.
    """

    number: int
    task: int
    patches: Tensor
    grids: Tensor
    hooks: dict[str, Tensor | int]
    labels: Tensor
    seen: Tensor
    ids: Tensor
    parts: Tensor
    positions: Tensor
    targets: Tensor
    matches: Tensor

    @property
    def mask(self) -> Tensor:
        """Which token sees which, (looks, 1, length, length): no question sees another."""
        length = self.ids.shape[1]
        is_before = torch.ones(length, length, dtype=torch.bool, device=self.ids.device).tril()
        theirs, ours = self.parts[:, None, :], self.parts[:, :, None]
        mask: Tensor = (is_before & ((theirs == 0) | (theirs == ours)))[:, None]
        return mask

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        moved: dict[str, Any] = {
            name: value.to(device, non_blocking=True)
            for name, value in vars(self).items()
            if isinstance(value, Tensor)
        }
        hooks = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in self.hooks.items()}
        return replace(self, hooks=hooks, **moved)


@dataclass(frozen=True)
class Batches(Dataset[Batch]):
    """Batches of a curriculum, or of one task of one stage.

    Args:
        settings: Of the run.
        split: 'training' or 'validation'.
        per_step: Batches of a step, of all processes.
        stage: Where all are of one stage.
        task: Where all are of one task.
    """

    settings: MiniSettings
    split: str = "training"
    per_step: int = 1
    stage: Stage | None = None
    task: Task | None = None

    def __getitem__(self, number: int) -> Batch:
        """One batch."""
        stage = self.stage or self.settings.stage_at(number // self.per_step)
        key = self.settings.seed if self.split == "training" else 0
        rng = draws("qwen3-mini", self.split, key, number)
        task = self.task or _draw_task(rng, stage)
        num_asks = draw_num_asks(rng, task, stage)
        first_scene = number // _BATCHES_A_SCENE * SCENES_AT_ONCE % _SCENES
        looks, asks = [], []
        for _ in range(stage.looks):
            look, asked = draw_task(
                rng, task, stage, self.split, num_asks=num_asks, first_scene=first_scene
            )
            looks.append(look)
            asks.append(asked)
        hidden = [task in ("options", "exam") and rng.random() < stage.blind for _ in looks]
        return write_batch(number, task, looks, asks, self.settings.model, hidden=hidden)


def write_batch(
    number: int,
    task: Task,
    looks: Sequence[Look],
    asks: Sequence[Sequence[Ask]],
    sizes: ModelSettings,
    *,
    hidden: Sequence[bool] | None = None,
) -> Batch:
    """Look at pixels, and write prompts, by the functions of the exam's adapter.

    Args:
        number: Of the batch.
        task: Of all asks.
        looks: What is shown.
        asks: About each look.
        sizes: Of the model.
        hidden: Looks that their asks are not shown.
    """
    network, processor = _scribe(sizes)
    hidden = hidden or [False] * len(looks)
    lengths = [len(look.stream.index) for look in looks]
    places = place([look.stream for look in looks], network.model.visual)
    return Batch(
        number=number,
        task=TASKS.index(task),
        patches=torch.from_numpy(np.concatenate([look.patch_rows() for look in looks])),
        grids=torch.tensor([look.stream.grid_thw for look in looks]),
        hooks=places.hooks,
        labels=torch.from_numpy(np.concatenate([look.labels for look in looks])),
        seen=torch.from_numpy(np.repeat(~np.array(hidden), lengths)),
        **_padded(
            [
                _written([] if is_hidden else [look.shown()], asked, network, processor)
                for look, asked, is_hidden in zip(looks, asks, hidden, strict=True)
                if asked
            ]
        ),
    )


@dataclass(frozen=True)
class _Row:
    """What is sent about one look, (length,); positions (3, length)."""

    ids: Tensor
    parts: Tensor
    positions: Tensor
    targets: Tensor
    matches: Tensor


@functools.lru_cache(maxsize=2)
def _scribe(sizes: ModelSettings) -> tuple[Any, Any]:
    """A network without weights, for positions, and a processor, for prompts."""
    return make_network(sizes, device="meta"), byte_tokens.make_processor(FAMILY)


def _written(shown: list[Shown], asks: Sequence[Ask], network: Any, processor: Any) -> _Row:  # noqa: ANN401
    """What all prompts begin with, once, and the rest of each."""
    prompter, tokenizer = Prompter(network, processor), processor.tokenizer
    prefix = prompter.prefix(shown, [one.stream for one in shown])
    shared = len(prefix.ids)
    nothing = torch.full_like(prefix.ids, IGNORED)
    parts = [_Row(prefix.ids, torch.zeros_like(nothing), prefix.positions, nothing, nothing)]
    for number, ask in enumerate(asks):
        prompt = prompter.prompt(ask.text, shown, prefix)
        answer = torch.tensor([*tokenizer(ask.answer)["input_ids"], tokenizer.eos_token_id])
        ids = torch.cat([prompt.ids[shared:], answer])
        after = torch.arange(len(answer)) + int(prompt.positions[0, -1]) + 1
        positions = torch.cat([prompt.positions[:, shared:], after.expand(3, -1)], dim=1)
        targets, matches = torch.full_like(ids, IGNORED), torch.full_like(ids, IGNORED)
        targets[-len(answer) - 1 : -1] = answer
        start = _text_start(prompt.ids, ask.text, tokenizer) - shared
        for at, is_match in ask.matches:
            matches[start + at] = is_match
        parts.append(_Row(ids, torch.full_like(ids, number + 1), positions, targets, matches))
    return _Row(
        *(
            torch.cat([getattr(part, name) for part in parts], dim=-1)
            for name in ("ids", "parts", "positions", "targets", "matches")
        )
    )


def _text_start(ids: Tensor, text: str, tokenizer: Any) -> int:  # noqa: ANN401
    """Where a question's first byte is among a prompt's ids: a byte is a token."""
    wanted = torch.tensor(tokenizer(text)["input_ids"])
    ends = (ids == tokenizer.eos_token_id).nonzero().flatten()
    start = int(ends[-1]) - len(wanted)
    assert torch.equal(ids[start : start + len(wanted)], wanted)
    return start


def _padded(rows: Sequence[_Row]) -> dict[str, Tensor]:
    """Rows under each other, padded on the right, where no other token sees it."""
    length = max((len(row.ids) for row in rows), default=0)
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    positions = torch.zeros(4, len(rows), length, dtype=torch.long)
    positions[0] = torch.arange(length)
    parts, targets = torch.full_like(ids, -1), torch.full_like(ids, IGNORED)
    matches = torch.full_like(ids, IGNORED)
    for i, row in enumerate(rows):
        real = slice(len(row.ids))
        ids[i, real] = row.ids
        positions[1:, i, real] = row.positions
        parts[i, real] = row.parts
        targets[i, real] = row.targets
        matches[i, real] = row.matches
    found = {"ids": ids, "parts": parts, "positions": positions}
    return {**found, "targets": targets, "matches": matches}


def _draw_task(rng: np.random.Generator, stage: Stage) -> Task:
    tasks = sorted(stage.tasks)
    share = np.array([stage.tasks[task] for task in tasks])
    return tasks[int(rng.choice(len(tasks), p=share / share.sum()))]
