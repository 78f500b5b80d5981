"""`VideoMae`: the paper's reconstruction, a masked autoencoder over gazed cells.

An image MAE with embeddings of scale and time, whose encoder and decoder attend to all of a frame
and of the frames before it (arXiv 2603.12254, appendix A). Weights are read from safetensors in
the released names. Two conventions of the released model matter for equal numbers: the decoder's
positions are interpolated along the flattened grid, bicubic, in one dimension; and one class token
precedes all frames, seen by all and seeing itself.

Letters: B clips, T frames, N kept slots, C width, H heads, S pixels of a side.
"""

# mypy: disable-error-code="no-untyped-call,no-any-return"

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Self

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from gaze.checkpoint import CONFIG_NAME, WEIGHTS_NAME
from gaze.gazes import Gaze
from gaze.train.features import FeatureLoss
from gaze.weights import read_weights
from hlvid.errors import UserError
from hlvid.files import read_json
from hlvid.types import Record

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the pixels that the MAE reads, from 0 to 1."""

Size = Annotated[int, Field(ge=1, le=8192)]


class VideoMaeSettings(Record):
    """Sizes of the autoencoder, under Hugging Face's names; the released ones by default."""

    hidden_size: Size = 1024
    num_hidden_layers: Size = 24
    num_attention_heads: Size = 16
    intermediate_size: Size = 4096
    decoder_hidden_size: Size = 512
    decoder_num_hidden_layers: Size = 8
    decoder_num_attention_heads: Size = 16
    decoder_intermediate_size: Size = 2048
    layer_norm_eps: Annotated[float, Field(gt=0, lt=1)] = 1e-12
    patch_size: Size = 16
    scales: tuple[Size, ...] = (32, 64, 112, 224)
    max_num_frames: Size = 256

    @property
    def cells_per_scale(self) -> tuple[int, ...]:
        """Cells of a frame at each scale, coarse to fine."""
        return tuple((scale // self.patch_size) ** 2 for scale in self.scales)


class _Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention = nn.ModuleDict(
            {name: nn.Linear(width, width) for name in ("query", "key", "value")}
        )
        self.output = nn.ModuleDict({"dense": nn.Linear(width, width)})


class _Layer(nn.Module):
    """A pre-norm Transformer block, its parts named as in the released state."""

    def __init__(self, width: int, mlp: int, heads: int, eps: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention = _Attention(width)
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, mlp)})
        self.output = nn.ModuleDict({"dense": nn.Linear(mlp, width)})
        self.layernorm_before = nn.LayerNorm(width, eps=eps)
        self.layernorm_after = nn.LayerNorm(width, eps=eps)

    def forward(self, x: Tensor, is_seen: Tensor) -> Tensor:
        """(B, N, C) with a mask (B, 1, N, N) of who sees whom."""
        hidden = self.layernorm_before(x)
        q, k, v = (
            self.attention.attention[name](hidden).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=is_seen)
        x = x + self.attention.output["dense"](attended.transpose(1, 2).flatten(2))
        hidden = F.gelu(self.intermediate["dense"](self.layernorm_after(x)))
        return x + self.output["dense"](hidden)


class _Encoder(nn.Module):
    def __init__(self, settings: VideoMaeSettings) -> None:
        super().__init__()
        width, patch = settings.hidden_size, settings.patch_size
        self.embeddings = nn.ParameterDict(
            {
                "cls_token": torch.zeros(1, 1, width),
                "position_embeddings": torch.zeros(1, settings.cells_per_scale[-1] + 1, width),
                "scale_embed": torch.zeros(len(settings.scales), width),
                "time_embed": torch.zeros(settings.max_num_frames, width),
            }
        )
        self.projection = nn.Conv2d(3, width, patch, stride=patch)
        self.layer = nn.ModuleList(
            _Layer(
                width,
                settings.intermediate_size,
                settings.num_attention_heads,
                settings.layer_norm_eps,
            )
            for _ in range(settings.num_hidden_layers)
        )
        self.layernorm = nn.LayerNorm(width, eps=settings.layer_norm_eps)


class _Decoder(nn.Module):
    def __init__(self, settings: VideoMaeSettings) -> None:
        super().__init__()
        width, cells = settings.decoder_hidden_size, settings.cells_per_scale[-1]
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.decoder_pos_embed = nn.Parameter(torch.zeros(1, cells + 1, width))
        self.decoder_scale_embed = nn.Parameter(torch.zeros(len(settings.scales), width))
        self.time_embed = nn.Parameter(torch.zeros(settings.max_num_frames, width))
        self.decoder_embed = nn.Linear(settings.hidden_size, width)
        self.decoder_layers = nn.ModuleList(
            _Layer(
                width,
                settings.decoder_intermediate_size,
                settings.decoder_num_attention_heads,
                settings.layer_norm_eps,
            )
            for _ in range(settings.decoder_num_hidden_layers)
        )
        self.decoder_norm = nn.LayerNorm(width, eps=settings.layer_norm_eps)
        self.decoder_pred = nn.Linear(width, settings.patch_size**2 * 3)


class VideoMae(nn.Module):
    """The autoencoder and its loss: pixels, and features of vision models where there are any.

    Args:
        settings: Sizes.
        features: Losses on features, each with its weight.
    """

    def __init__(self, settings: VideoMaeSettings, features: Sequence[FeatureLoss] = ()) -> None:
        super().__init__()
        self.settings = settings
        self.encoder, self.decoder = _Encoder(settings), _Decoder(settings)
        self.features = nn.ModuleList(features)
        self._feature_names = [feature.name for feature in features]

    @classmethod
    def from_folder(cls, folder: Path, features: Sequence[FeatureLoss] = ()) -> Self:
        """Read `config.json` (our settings) and `model.safetensors` (the released names), strictly.

        Raises:
            UserError: A file is missing or broken, or a tensor is missing, unknown or misshaped.
        """
        settings = read_json(folder / CONFIG_NAME, VideoMaeSettings)
        if settings.scales != tuple(sorted(settings.scales)) or any(
            scale % settings.patch_size for scale in settings.scales
        ):
            raise UserError(f"{CONFIG_NAME}: scales {settings.scales} are not of whole patches.")
        model = cls(settings, features)
        own = {
            name: value
            for name, value in model.state_dict().items()
            if not name.startswith("features.")
        }
        wanted = {_released(name): tuple(value.shape) for name, value in own.items()}
        found = read_weights(folder / WEIGHTS_NAME, wanted)
        model.load_state_dict({name: found[_released(name)] for name in own}, strict=False)
        return model.eval().requires_grad_(False)

    @property
    def kind(self) -> str:
        """Names the loss."""
        return "-".join(["videomae", *self._feature_names])

    @property
    def cells_per_scale(self) -> tuple[int, ...]:
        """Cells of a frame at each scale, coarse to fine."""
        return self.settings.cells_per_scale

    @torch.no_grad()
    def losses(self, pixels: Tensor, gaze: Gaze, *, frames: Sequence[int] | None = None) -> Tensor:
        """The loss of each frame; see `Reconstruction`."""
        wanted = list(range(gaze.num_frames) if frames is None else frames)
        mean, std = (pixels.new_tensor(v, dtype=torch.float32).view(3, 1, 1) for v in (MEAN, STD))
        video = (pixels.float() / 255 - mean) / std
        guessed = self.reconstruct(video, gaze, wanted)
        loss = (guessed - video[:, wanted]).abs().mean((2, 3, 4))
        for feature in self.features:
            # Vision models have statistics of their own, of pixels from 0 to 1.
            ours, theirs = (x * std + mean for x in (guessed, video[:, wanted]))
            loss = loss + feature(ours, theirs)
        return loss

    def reconstruct(self, video: Tensor, gaze: Gaze, frames: Sequence[int]) -> Tensor:
        """Guess frames from kept cells.

        Args:
            video: (B, T, 3, S, S), normalised for the MAE.
            gaze: Of the first frames of these clips.
            frames: Which to guess.

        Returns:
            (B, frames, 3, S, S), normalised alike.
        """
        seen, frame = self._encode(video, gaze)
        return self._decode(seen, gaze, frame, list(frames))

    def _encode(self, video: Tensor, gaze: Gaze) -> tuple[Tensor, Tensor]:
        """Encoded class token and slots (B, 1 + N, C), and the frame of each slot (N,)."""
        encoder, embed, settings = self.encoder, self.encoder.embeddings, self.settings
        num_frames = gaze.num_frames
        batch = video.shape[0]
        flat = video[:, :num_frames].flatten(0, 1)
        tokens = []
        for number, scale in enumerate(settings.scales):
            image = flat
            if scale != flat.shape[-1]:
                image = F.interpolate(flat, (scale, scale), mode="bicubic", align_corners=False)
            patches = encoder.projection(image).flatten(2).transpose(1, 2)
            side = scale // settings.patch_size
            place = _in_two_dimensions(embed["position_embeddings"], side)
            tokens.append(patches + place + embed["scale_embed"][number])
        all_tokens = torch.cat(tokens, 1).unflatten(0, (batch, num_frames))
        all_tokens = all_tokens + embed["time_embed"][:num_frames, None]
        where = gaze.positions.clamp(min=0).unsqueeze(-1)
        kept = all_tokens.flatten(1, 2).gather(1, where.expand(-1, -1, all_tokens.shape[-1]))
        class_token = embed["cls_token"] + embed["position_embeddings"][:, :1]
        x = torch.cat([class_token.expand(batch, -1, -1), kept], 1)
        frame = torch.arange(num_frames, device=video.device).repeat_interleave(
            gaze.num_per_frame.to(video.device)
        )
        is_seen = _block_causal(frame.expand(batch, -1), ~gaze.is_padding)
        for layer in encoder.layer:
            x = layer(x, is_seen)
        return encoder.layernorm(x), frame

    def _decode(self, seen: Tensor, gaze: Gaze, frame: Tensor, frames: list[int]) -> Tensor:
        """Slots and, of the frames to guess, every cell: pixels of their finest cells."""
        decoder, batch = self.decoder, seen.shape[0]
        num_cells, num_frames = gaze.num_cells, gaze.num_frames
        x = decoder.decoder_embed(seen)
        total = num_frames * num_cells
        where = torch.where(gaze.is_padding, total, gaze.positions)
        filled = decoder.mask_token.to(x.dtype).repeat(batch, total + 1, 1)
        filled = filled.scatter(1, where.unsqueeze(-1).expand(-1, -1, x.shape[-1]), x[:, 1:])
        place = torch.cat(
            [
                _in_one_dimension(decoder.decoder_pos_embed, cells) + scale
                for cells, scale in zip(
                    self.cells_per_scale, decoder.decoder_scale_embed, strict=True
                )
            ]
        )
        time = decoder.time_embed[:num_frames, None]
        cells = filled[:, :-1].unflatten(1, (num_frames, num_cells)) + place + time
        is_guessed = torch.zeros(num_frames, dtype=torch.bool, device=x.device)
        is_guessed[frames] = True
        # Cells of the frames to guess come first, then the slots of the others.
        guessed = cells[:, frames].flatten(1, 2)
        others = cells.flatten(1, 2).gather(
            1, gaze.positions.clamp(min=0).unsqueeze(-1).expand(-1, -1, x.shape[-1])
        )
        class_token = x[:, :1] + decoder.decoder_pos_embed[:, :1]
        own = torch.tensor(frames, device=x.device).repeat_interleave(num_cells)
        both = torch.cat([own, frame]).expand(batch, -1)
        is_real = torch.cat(
            [torch.ones_like(guessed[..., 0], dtype=torch.bool),
             ~gaze.is_padding & ~is_guessed[frame]], 1
        )  # fmt: skip
        is_seen = _block_causal(both, is_real)
        x = torch.cat([class_token, guessed, others], 1)
        for layer in decoder.decoder_layers:
            x = layer(x, is_seen)
        found = x[:, 1 : 1 + guessed.shape[1]].unflatten(1, (len(frames), num_cells))
        fine = found[:, :, -self.cells_per_scale[-1] :]
        return self._picture(decoder.decoder_pred(decoder.decoder_norm(fine)))

    def _picture(self, patches: Tensor) -> Tensor:
        """(B, frames, cells, patch * patch * 3) to (B, frames, 3, S, S)."""
        size = self.settings.patch_size
        side = self.settings.scales[-1] // size
        cut = patches.unflatten(-1, (size, size, 3)).unflatten(2, (side, side))
        return cut.permute(0, 1, 6, 2, 4, 3, 5).flatten(-2).flatten(-3, -2)


def _block_causal(frame: Tensor, is_real: Tensor) -> Tensor:
    """Mask (B, 1, 1 + N, 1 + N): all of a frame and of those before; a class token before all.

    Args:
        frame: (B, N) of each token.
        is_real: (B, N); others are seen by themselves alone.
    """
    first = frame.new_full((frame.shape[0], 1), -1)
    frame = torch.cat([first, frame], 1)
    is_real = torch.cat([torch.ones_like(first, dtype=torch.bool), is_real], 1)
    is_seen = (frame.unsqueeze(2) >= frame.unsqueeze(1)) & is_real.unsqueeze(1)
    return (is_seen | torch.eye(frame.shape[1], dtype=torch.bool, device=frame.device)).unsqueeze(1)


def _in_two_dimensions(embedding: Tensor, side: int) -> Tensor:
    """(side * side, C): positions of a grid, bicubic from the finest."""
    native = round((embedding.shape[1] - 1) ** 0.5)
    if side == native:
        return embedding[0, 1:]
    grid = embedding[:, 1:].transpose(1, 2).unflatten(2, (native, native))
    grid = F.interpolate(grid, (side, side), mode="bicubic", align_corners=False)
    return grid.flatten(2)[0].T


def _in_one_dimension(embedding: Tensor, cells: int) -> Tensor:
    """(cells, C): positions along the flattened grid, bicubic from the finest."""
    row = embedding[:, 1:].transpose(1, 2).unsqueeze(2)  # (1, C, 1, finest cells)
    return F.interpolate(row, (1, cells), mode="bicubic", align_corners=False)[0, :, 0].T


def _released(name: str) -> str:
    """The released name of one of our parameters."""
    if not name.startswith("encoder."):
        return name
    rest = name.removeprefix("encoder.")
    if rest.startswith("projection."):
        return f"vit.embeddings.patch_embeddings.{rest}"
    return f"vit.encoder.{rest}" if rest.startswith("layer.") else f"vit.{rest}"
