"""Batches of clips, made by worker processes, a function of their number alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from gaze.train.clips import Clips, draws
from gaze.train.films import whole_film
from gaze.train.label_file import Entry, key_of
from gaze.train.labels import Budgets, Labels, greedy
from gaze.train.pyramid import Pyramid, Table

T = TypeVar("T")
Gazes = Literal["none", "greedy", "greedy-gains", "own"]


@dataclass(frozen=True)
class Batch:
    """What one step of training sees.

    Attributes:
        number: Of the batch: the seed of whatever is drawn for it.
        pixels: (B, T, 3, S, S) uint8.
        sources: What each clip was cut from.
        labels: Greedy gazes, where they were asked for.
        budgets: (B, T) cells that each frame may keep, where they are drawn.
        table: What any gaze loses, where gazes are found only while training.
    """

    number: int
    pixels: Tensor
    sources: tuple[str, ...]
    labels: Labels | None = None
    budgets: Tensor | None = None
    table: Table | None = None

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        return replace(
            self,
            pixels=self.pixels.to(device, non_blocking=True),
            labels=None if self.labels is None else self.labels.to(device),
            budgets=None if self.budgets is None else self.budgets.to(device),
            table=None if self.table is None else self.table.to(device),
        )


@dataclass(frozen=True)
class DrawnBatches(Dataset[Batch]):
    """Batches of drawn clips, with budgets and with greedy labels found on the way where wanted.

    Args:
        clips: Where clips come from; batch b holds the clips ``b * size`` and following.
        size: Clips of a batch.
        seed: Of the budgets.
        budgets: Cells that the frames may keep; None for pixels alone.
        pyramid: The cells, and what labels lower.
        gazes: What comes besides budgets: "greedy" labels, such with what other cells would have
            gained ("greedy-gains"), or the table by which a model's "own" gazes are judged.
    """

    clips: Clips
    size: int
    seed: int = 0
    budgets: Budgets | None = None
    pyramid: Pyramid = field(default_factory=Pyramid)
    gazes: Gazes = "none"

    def __getitem__(self, number: int) -> Batch:
        """One batch."""
        indices = range(number * self.size, (number + 1) * self.size)
        clips = [self.clips.clip(index) for index in indices]
        pixels = torch.from_numpy(np.stack([clip.pixels for clip in clips]))
        sources = tuple(clip.source for clip in clips)
        batch = Batch(number, pixels, sources)
        if self.budgets is None:
            return batch
        num_frames, num_cells = pixels.shape[1], sum(self.pyramid.cells_per_scale)
        budgets = torch.tensor(
            [
                self.budgets.draw(draws("budget", self.seed, index), num_frames, num_cells)
                for index in indices
            ]
        )
        if self.gazes == "none":
            return replace(batch, budgets=budgets)
        table = self.pyramid.table(pixels)
        if self.gazes == "own":
            return replace(batch, budgets=budgets, table=table)
        keeps_gains = self.gazes == "greedy-gains"
        labels = greedy(table, budgets, stops_early=True, keeps_gains=keeps_gains)
        return replace(batch, budgets=budgets, labels=labels)


@dataclass(frozen=True)
class LabelledBatches(Dataset[Batch]):
    """Batches of whole films with the labels of a file, in another order every epoch.

    Args:
        films: The films, each as one clip, and its labels.
        size: Clips of a batch.
        image_size: S, pixels of a side.
        seed: Of the order.
    """

    films: Sequence[tuple[Path, Entry]]
    size: int
    image_size: int
    seed: int = 0

    def __getitem__(self, number: int) -> Batch:
        """One batch."""
        pixels, entries, sources = [], [], []
        for index in range(number * self.size, (number + 1) * self.size):
            epoch, place = divmod(index, len(self.films))
            order = draws("epoch", self.seed, epoch).permutation(len(self.films))
            path, entry = self.films[int(order[place])]
            num_frames = len(entry.gazing_pos)
            film = whole_film(path, num_frames=num_frames, size=self.image_size)
            pixels.append(torch.from_numpy(film))
            entries.append(entry)
            sources.append(key_of(path))
        labels = Labels.from_lists(
            [entry.gazing_pos for entry in entries], [entry.task_losses for entry in entries]
        )
        return Batch(number, torch.stack(pixels), tuple(sources), labels)


def load(
    batches: Dataset[T], numbers: range, *, num_workers: int, pins_memory: bool = False
) -> Iterator[T]:
    """Batches in order, made ahead by worker processes; none for this process alone."""
    loader: DataLoader[T] = DataLoader(
        batches,
        batch_size=None,
        sampler=numbers,
        num_workers=num_workers,
        pin_memory=pins_memory,
        # Forked workers would inherit the threads of a process that already computes.
        multiprocessing_context="spawn" if num_workers else None,
        prefetch_factor=4 if num_workers else None,
    )
    return iter(loader)
