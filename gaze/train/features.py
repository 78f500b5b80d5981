"""How different two pictures look to a vision model: any of Hugging Face's."""

# mypy: disable-error-code="no-untyped-call,no-any-return"

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hlvid.errors import UserError

WEIGHT = 0.3
LAYERS = 4


class FeatureLoss(nn.Module):
    """Mean squared difference of the last hidden states (arXiv 2603.12254, appendix A).

    Args:
        name: Part of the name of the loss: letters, digits and hyphens.
        model: A vision model that takes `pixel_values` and gives hidden states of
            (batch, tokens, width): DINOv2, SigLIP2 and others.
        mean: Of its pixels, a channel.
        std: Of its pixels, a channel.
        size: Pixels of a side that it reads.
        patch_size: Pixels of its patches; tokens before these (class, registers) are left out.
        weight: Of this loss.
        num_layers: Hidden states compared, from the last.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: str,
        model: nn.Module,
        *,
        mean: tuple[float, float, float] = (0.5, 0.5, 0.5),
        std: tuple[float, float, float] = (0.5, 0.5, 0.5),
        size: int = 224,
        patch_size: int = 16,
        weight: float = WEIGHT,
        num_layers: int = LAYERS,
    ) -> None:
        super().__init__()
        self.name, self.size, self.weight, self.num_layers = name, size, weight, num_layers
        self.num_patches = (size // patch_size) ** 2
        self.model = model.eval().requires_grad_(False)
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    @classmethod
    def from_pretrained(
        cls, name: str, path_or_hub_id: str, *, weight: float = WEIGHT
    ) -> FeatureLoss:
        """Load a vision model and its image processor's statistics.

        Raises:
            UserError: It cannot be loaded.
        """
        from transformers import AutoImageProcessor, AutoModel

        try:
            model = AutoModel.from_pretrained(path_or_hub_id, use_safetensors=True)
            processor = AutoImageProcessor.from_pretrained(path_or_hub_id)
        except (OSError, ValueError) as error:
            raise UserError(f"{path_or_hub_id}: cannot be loaded ({error}).") from None
        model = getattr(model, "vision_model", model)
        size = processor.size.get("height") or processor.crop_size["height"]
        return cls(
            name,
            model,
            mean=tuple(processor.image_mean),
            std=tuple(processor.image_std),
            size=size,
            patch_size=model.config.patch_size,
            weight=weight,
        )

    def forward(self, guessed: Tensor, frames: Tensor) -> Tensor:
        """(B, T) weighted loss of pictures (B, T, 3, S, S) of values from 0 to 1."""
        ours, theirs = self._read(guessed.flatten(0, 1)), self._read(frames.flatten(0, 1))
        squared = (ours - theirs).square().mean((-2, -1))
        return self.weight * squared.view(guessed.shape[:2])

    def _read(self, pictures: Tensor) -> Tensor:
        """(N, patches, layers * width)."""
        if pictures.shape[-1] != self.size:
            size = (self.size, self.size)
            pictures = F.interpolate(pictures, size, mode="bicubic", align_corners=False)
        scaled = (pictures - self.mean) / self.std
        found = self.model(pixel_values=scaled, output_hidden_states=True).hidden_states
        return torch.cat([h[:, -self.num_patches :] for h in found[-self.num_layers :]], -1)
