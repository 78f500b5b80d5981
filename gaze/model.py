"""AutoGaze: which multi-scale cells of a video are worth encoding (arXiv 2603.12254).

    model = AutoGaze.from_pretrained("nvidia/AutoGaze")
    gaze = model.select(video, gazing_ratio=0.75, task_loss_requirement=0.7)

Letters: B clips, T frames, N slots of a clip, P vision tokens and V - 1 cells of a frame, C width.
Inputs are preprocessed (see :mod:`gaze.preprocess`). Selecting never needs transformers.
"""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gaze.checkpoint import find_checkpoint, tell_terms
from gaze.config import GazeConfig, Positions
from gaze.controls import (
    Ratio,
    Threshold,
    caps_per_frame,
    check_forbidden,
    check_video,
    thresholds_per_frame,
)
from gaze.decode import (
    BatchRule,
    FrameDecoder,
    FrameGaze,
    GazeState,
    new_state,
    slot_rows,
)
from gaze.decoder import Decoder
from gaze.encoder import Encoder
from gaze.gazes import Gaze
from gaze.tiles import Tiling, merge_tiles
from gaze.weights import from_upstream, random_weights, read_weights, upstream_shapes
from hlvid.errors import UserError

if TYPE_CHECKING:
    from gaze.cuda.driver import Driver


class Score(NamedTuple):
    """What a finished sequence is worth to the model; zero at padded slots.

    Attributes:
        log_prob: (B, N) log-probability of each chosen id over all V ids.
        predicted_loss: (B, N) predicted loss once that id is added.
    """

    log_prob: Tensor
    predicted_loss: Tensor


class AutoGaze(nn.Module):
    """The encoder, the decoder, and the two things one asks of them: select and score."""

    def __init__(self, config: GazeConfig, *, positions: Positions | None = None) -> None:
        super().__init__()
        self.config = config
        self.positions: Positions = positions or config.positions
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self._on_device: tuple[object, Driver] | None = None

    @classmethod
    def from_pretrained(
        cls,
        path_or_hub_id: str | Path,
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype | None = None,
        positions: Positions | None = None,
    ) -> Self:
        """Load an upstream checkpoint directory, unchanged and strictly.

        Args:
            path_or_hub_id: A folder with ``config.json`` and ``model.safetensors``, or a hub id;
                pinned or not (:mod:`gaze.checkpoint`).
            device: Where the model goes.
            dtype: Working type of matrix products and attention. By default float32 on CPU and
                float16 on CUDA, where it is as fast as bfloat16 and chooses far more often what
                float32 chooses (benchmarks/results).
            positions: By default those that the checkpoint was made for.

        Raises:
            UserError: The checkpoint is missing, corrupt, or of another model.
        """
        checkpoint = find_checkpoint(path_or_hub_id)
        config = checkpoint.config
        weights = read_weights(checkpoint.weights, upstream_shapes(config))
        tell_terms(checkpoint)
        if dtype is None:
            is_cuda = torch.device(device).type == "cuda"
            dtype = torch.float16 if is_cuda else torch.float32
        return cls._build(config, weights, device, dtype, positions)

    @classmethod
    def from_seed(
        cls,
        config: GazeConfig,
        seed: int,
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        positions: Positions | None = None,
    ) -> Self:
        """A model with seeded random weights: for timing and tests, never for accuracy."""
        return cls._build(config, random_weights(config, seed), device, dtype, positions)

    @classmethod
    def _build(
        cls,
        config: GazeConfig,
        weights: Mapping[str, Tensor],
        device: str | torch.device,
        dtype: torch.dtype,
        positions: Positions | None,
    ) -> Self:
        model = cls(config, positions=positions)
        model.load_state_dict(from_upstream(weights, config))
        if dtype == torch.float16 and max(float(w.abs().max()) for w in weights.values()) > 65504:
            raise UserError("weights: too large for float16. Pass dtype=torch.bfloat16.")
        return model.to(device=device, dtype=dtype).eval().requires_grad_(False)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.decoder.embed.weight.device

    @torch.no_grad()
    def select(
        self,
        video: Tensor,
        *,
        gazing_ratio: Ratio | None = None,
        task_loss_requirement: Threshold | None = None,
        target_scales: tuple[int, ...] | None = None,
        target_patch_size: int | None = None,
        batch_rule: BatchRule = "alone",
        forbidden: Tensor | None = None,
    ) -> Gaze:
        """Choose cells, frame by frame.

        Args:
            video: (B, T, 3, H, W), preprocessed. More frames than a clip are taken clip by clip.
            gazing_ratio: Most cells of a frame as a share of all; one number, or one a frame.
                Alone, it turns the threshold off.
            task_loss_requirement: A frame ends once its predicted loss is this low. Alone, it turns
                the cap off. With neither, the checkpoint's defaults are used.
            target_scales: Pixels of a side at each scale of the vision tower, when they are not
                ours; the frame is cut into sub-tiles, and the order of gazing is lost.
            target_patch_size: Patch of that tower.
            batch_rule: ``alone`` makes a clip's choices independent of its batch; ``released``
                decodes the batch (all its sub-tiles) as the released code does.
            forbidden: (B, V - 1) bool, cells that must not be chosen: those outside the frame.

        Raises:
            UserError: A wrong shape, a value that is not finite, or a control out of range.
        """
        check_video(video)
        tiling = self._tiling(video, target_scales, target_patch_size)
        clips = video if tiling is None else tiling.cut(video)
        num_frames = video.shape[1]
        check_forbidden(forbidden, (clips.shape[0], self.config.num_cells))
        ratio, threshold = self._controls(gazing_ratio, task_loss_requirement)
        caps = caps_per_frame(self.config, ratio, num_frames)
        losses = thresholds_per_frame(threshold, num_frames)
        if (driver := self._driver(batch_rule)) is not None:
            limits = losses if threshold is not None else None
            frames = driver.select(clips, caps, limits, forbidden)
        else:
            frames = self._select_plain(clips, caps, losses, batch_rule, forbidden)
        gaze = Gaze.from_frames(frames, self.config.cells_per_scale)
        return gaze if tiling is None else merge_tiles(gaze, tiling)

    @torch.no_grad()
    def stream(
        self,
        frames: Tensor,
        state: GazeState | None = None,
        *,
        gazing_ratio: Ratio | None = None,
        task_loss_requirement: Threshold | None = None,
        forbidden: Tensor | None = None,
    ) -> tuple[Gaze, GazeState]:
        """Gaze at the next frames of a stream: the same choices as :meth:`select` on all of them.

        Args:
            frames: (B, T, 3, H, W), usually T = 1.
            state: What the previous call returned; None at the start. It is updated in place.
            gazing_ratio: As in :meth:`select`, for these frames.
            task_loss_requirement: As in :meth:`select`, for these frames.
            forbidden: As in :meth:`select`.

        Returns:
            The gaze of these frames, counted from 0, and the state to pass on. A new clip begins by
            itself after as many frames as a clip has.
        """
        check_video(frames)
        batch, num_frames = frames.shape[:2]
        check_forbidden(forbidden, (batch, self.config.num_cells))
        ratio, threshold = self._controls(gazing_ratio, task_loss_requirement)
        caps = caps_per_frame(self.config, ratio, num_frames)
        losses = thresholds_per_frame(threshold, num_frames)
        if state is None:
            rows = slot_rows(self.config, [self.config.num_cells] * self.config.clip_frames)
            state = new_state(self.decoder, batch=batch, rows=rows)
        if state.length.shape[0] != batch:
            raise UserError(
                f"stream: {batch} clips for a state of {state.length.shape[0]}. "
                "Keep one state a batch."
            )
        found: list[FrameGaze] = []
        for t in range(num_frames):
            if state.num_frames == self.config.clip_frames:
                state.restart()
            one = slice(t, t + 1)
            found += self._frames(frames[:, one], state, caps[one], losses[one], "alone", forbidden)
        return Gaze.from_frames(found, self.config.cells_per_scale), state

    def log_prob(self, video: Tensor, gaze: Gaze) -> Score:
        """Score a finished gaze, with gradients where the parameters ask for them.

        Positions are natural throughout and nothing is masked but padding, in every checkpoint.

        Args:
            video: (B, T, 3, H, W), preprocessed, at most one clip long.
            gaze: What was chosen, in gazing order.

        Raises:
            UserError: The gaze does not belong to this video, or has lost its order.
        """
        check_video(video)
        if not gaze.is_ordered or gaze.cells_per_scale != self.config.cells_per_scale:
            raise UserError("log_prob: this gaze was merged from sub-tiles, so its order is lost.")
        expected = (video.shape[0], video.shape[1])
        if (gaze.positions.shape[0], gaze.num_per_frame.shape[0]) != expected:
            raise UserError(
                f"log_prob: the gaze is not of {expected[0]} clips of {expected[1]} frames."
            )
        features, _ = self.encoder(self._resize(video))  # (B, T, P, C)
        config = self.config
        ids = gaze.positions % config.num_cells
        ids = torch.where(gaze.is_padding, config.num_cells, ids)  # (B, N)
        counts = gaze.num_per_frame.tolist()
        embedded = self.decoder.embed(ids).split(counts, dim=1)
        padded = gaze.is_padding.split(counts, dim=1)
        rows, valid = [], []
        for t in range(len(counts)):
            rows += [features[:, t], embedded[t]]
            valid += [torch.zeros_like(features[:, t, :, 0], dtype=torch.bool), padded[t]]
        x, is_valid = torch.cat(rows, 1), ~torch.cat(valid, 1)  # (B, R, C), (B, R)
        order = (~is_valid).to(torch.int8).argsort(dim=1, stable=True)
        position = (is_valid.cumsum(1) - 1).clamp(
            min=0
        )  # (B, R): a row's place among the real ones
        x = x.gather(1, order.unsqueeze(-1).expand_as(x))
        hidden = self.decoder.whole(
            x, torch.arange(x.shape[1], device=x.device).expand(x.shape[:2])
        )
        return self._read_heads(hidden, position, ids, gaze)

    def _read_heads(self, hidden: Tensor, position: Tensor, ids: Tensor, gaze: Gaze) -> Score:
        """Heads of the last row before each block of a frame, laid out slot by slot."""
        heads, num_vision = self.config.tokens_per_forward, self.config.vision_tokens
        log_probs, losses, first = [], [], 0
        ids_per_frame = ids.split(gaze.num_per_frame.tolist(), dim=1)
        for chosen in ids_per_frame:
            slots = chosen.shape[1]
            # Block b of the frame is read off the row before its first token; one block more,
            # because the loss after a block's last token is the next block's first.
            source = first + num_vision - 1 + heads * torch.arange(slots // heads + 1)
            place = position[:, source.to(position.device)]  # (B, blocks)
            row = hidden.gather(1, place.unsqueeze(-1).expand(-1, -1, hidden.shape[-1]))
            logits, loss = self.decoder.heads(row)  # (B, blocks, K, V), (B, blocks, K)
            log_prob = logits.flatten(1, 2)[:, :slots].log_softmax(-1)  # (B, slots, V)
            log_probs.append(log_prob.gather(2, chosen.unsqueeze(-1)).squeeze(-1))
            losses.append(loss.flatten(1)[:, 1 : slots + 1])
            first += num_vision + slots
        is_real = ~gaze.is_padding
        return Score(torch.cat(log_probs, 1) * is_real, torch.cat(losses, 1) * is_real)

    def _select_plain(
        self,
        video: Tensor,
        caps: list[int],
        thresholds: list[float],
        batch_rule: BatchRule,
        forbidden: Tensor | None,
    ) -> list[FrameGaze]:
        """Clip by clip over time, in plain torch on any device."""
        size, frames = self.config.clip_frames, []
        for first in range(0, video.shape[1], size):
            here = slice(first, first + size)
            rows = slot_rows(self.config, caps[here])
            state = new_state(self.decoder, batch=video.shape[0], rows=rows)
            frames += self._frames(
                video[:, here], state, caps[here], thresholds[here], batch_rule, forbidden
            )
        return frames

    def _driver(self, batch_rule: BatchRule) -> Driver | None:
        """The GPU path, where there is one for this model."""
        if self.device.type != "cuda" or batch_rule != "alone":
            return None
        from gaze.cuda.driver import Driver
        from gaze.cuda.engine import supports

        if not supports(self.config):
            return None
        weight = self.decoder.embed.weight
        # Engines hold packed copies: weights that moved or were written to need new ones.
        now = (weight.data_ptr(), weight._version, weight.dtype)
        if self._on_device is None or self._on_device[0] != now:
            driver = Driver(
                self.encoder, self.decoder, positions=self.positions, resize=self._resize
            )
            self._on_device = (now, driver)
        return self._on_device[1]

    def _frames(
        self,
        clip: Tensor,
        state: GazeState,
        caps: list[int],
        thresholds: list[float],
        batch_rule: BatchRule,
        forbidden: Tensor | None,
    ) -> list[FrameGaze]:
        """Encode a run of frames, then gaze at them one by one."""
        features, state.history = self.encoder(self._resize(clip), state.history)
        engine = FrameDecoder(self.decoder, state, positions=self.positions, batch_rule=batch_rule)
        batch = clip.shape[0]
        return [
            engine.frame(
                features[:, t],
                cap=torch.full((batch,), caps[t], device=self.device),
                threshold=torch.full((batch,), thresholds[t], device=self.device),
                forbidden=forbidden,
            )
            for t in range(clip.shape[1])
        ]

    def _resize(self, video: Tensor) -> Tensor:
        """To the model's own size and type: bicubic, not antialiased; the identity at that size."""
        size = self.config.image_size
        video = video.to(device=self.device, dtype=self.decoder.embed.weight.dtype)
        if video.shape[-2:] == (size, size):
            return video
        flat = F.interpolate(
            video.flatten(0, 1), size=(size, size), mode="bicubic", align_corners=False
        )
        return flat.view(*video.shape[:2], 3, size, size)

    def _controls(
        self, ratio: Ratio | None, threshold: Threshold | None
    ) -> tuple[Ratio, Threshold | None]:
        """The caller's controls, or the checkpoint's own where there are none."""
        if ratio is None and threshold is None:
            ratio, threshold = self.config.default_ratio, self.config.default_threshold
            if ratio is None and threshold is None:
                raise UserError(
                    "select: this checkpoint has no fixed ratio or threshold. Pass one of the two."
                )
        return (1.0 if ratio is None else ratio), threshold

    def _tiling(
        self, video: Tensor, scales: tuple[int, ...] | None, patch_size: int | None
    ) -> Tiling | None:
        if scales is None and patch_size is None:
            return None
        if scales is None or patch_size is None:
            raise UserError("select: target_scales and target_patch_size go together. Pass both.")
        tiling = Tiling.plan(self.config, video, tuple(scales), patch_size)
        return None if tiling.is_identity else tiling
