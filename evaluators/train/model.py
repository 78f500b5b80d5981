"""The model that is trained: transformers' own Qwen3-VL, and heads that are thrown away afterwards.

The heads make what the tower and the language model have to find out learnable: one says of every
merged token which characters it shows, one says of every byte of an option whether the option is
still what is shown.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from evaluators import attention
from evaluators.models.qwen import byte_tokens
from evaluators.train.looks import CLASSES, FRAMES
from evaluators.train.settings import ModelSettings
from gaze.train.state import STATE_NAME
from gaze.weights import check_shapes
from hlvid.errors import UserError
from hlvid.files import write_bytes

FAMILY = "qwen3_vl"
_SPREAD = 0.5
"""Of fresh weights, in units of one by the root of their inputs."""
_EMBEDDING_SPREAD = 0.06


class Mini(nn.Module):
    """The network with its heads.

    Args:
        sizes: Of the network.
        seed: Of the fresh weights.
    """

    def __init__(self, sizes: ModelSettings, *, seed: int) -> None:
        super().__init__()
        self.network = make_network(sizes)
        _embed_by_product(self.tower.patch_embed)
        self.dense = nn.Linear(sizes.width, FRAMES * sum(CLASSES))
        self.match = nn.Linear(sizes.width, 1)
        self._draw(torch.Generator().manual_seed(seed))

    @property
    def tower(self) -> Any:  # noqa: ANN401
        """The vision tower."""
        return self.network.model.visual

    def cells(self, features: Tensor) -> list[Tensor]:
        """What each token shows: for every label, logits (tokens, frames, classes)."""
        logits = self.dense(features.float()).unflatten(-1, (FRAMES, -1))
        return list(logits.split(list(CLASSES), dim=-1))

    def _draw(self, generator: torch.Generator) -> None:
        """Seeded weights from which training is quick."""
        with torch.no_grad():
            for module in self.modules():
                if isinstance(module, nn.Linear | nn.Conv3d):
                    fan_in = module.weight[0].numel()
                    module.weight.normal_(0.0, _SPREAD * fan_in**-0.5, generator=generator)
                    if module.bias is not None:
                        module.bias.zero_()
                elif isinstance(module, nn.Embedding):
                    module.weight.normal_(0.0, _EMBEDDING_SPREAD, generator=generator)


def _embed_by_product(embedding: Any) -> None:  # noqa: ANN401
    """Let a tower embed patches by a matrix product: its convolution is one, no patch overlaps.

    On a CPU the convolution with its gradient takes several times as long.
    """
    convolution = embedding.proj

    def forward(patches: Tensor) -> Tensor:
        weight = convolution.weight.flatten(1)
        return F.linear(patches.reshape(-1, weight.shape[1]), weight, convolution.bias)

    embedding.forward = forward


def make_network(sizes: ModelSettings, *, device: str = "cpu") -> Any:  # noqa: ANN401
    """The network in float32, its attention the one of the exam; on 'meta' it has no weights."""
    import transformers

    auto: Any = transformers
    tokenizer = byte_tokens.make_tokenizer()
    config = auto.AutoConfig.for_model(**sizes.config(), **byte_tokens.ids(tokenizer))
    with torch.random.fork_rng(), torch.device(device):
        network = auto.AutoModelForImageTextToText.from_config(
            config, dtype=torch.float32, attn_implementation="sdpa"
        )
    names = {"text_config": "sdpa", "vision_config": attention.register()}
    network.set_attn_implementation(names)
    end = int(tokenizer.eos_token_id)
    network.generation_config.eos_token_id = end
    network.generation_config.pad_token_id = int(tokenizer.pad_token_id)
    return network


def begin_from(model: Mini, folder: Path) -> None:
    """Take over the weights of a run's last state.

    Raises:
        UserError: There is none, or it is of another size.
    """
    path = folder / STATE_NAME
    try:
        found = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"start {path}: cannot be read ({error}).") from None
    wanted = {f"model.{name}": value for name, value in model.named_parameters()}
    theirs = {key: value for key, value in found.items() if key.startswith("model.")}
    check_shapes(
        path.name,
        {key: tuple(value.shape) for key, value in theirs.items()},
        {key: tuple(value.shape) for key, value in wanted.items()},
    )
    with torch.no_grad():
        for key, value in wanted.items():
            value.copy_(theirs[key])


def write_checkpoint(folder: Path, model: Mini) -> None:
    """Write a directory that stock transformers loads: weights in float32, processor, template.

    Raises:
        UserError: The folder may not be written.
    """
    from safetensors.torch import save

    network = model.network
    weights = {
        name: value.detach().float().cpu().contiguous()
        for name, value in network.state_dict().items()
        if name != "lm_head.weight"  # tied to the embedding
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        byte_tokens.make_processor(FAMILY).save_pretrained(folder)
        network.generation_config.save_pretrained(folder)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror}).", exit_code=1) from None
    write_bytes(folder / "model.safetensors", [save(weights, metadata={"format": "pt"})])
    network.config.architectures = [type(network).__name__]
    write_bytes(folder / "config.json", [network.config.to_json_string().encode()])


def num_parameters(model: nn.Module) -> int:
    """How many, tied ones once."""
    return sum(parameter.numel() for parameter in model.parameters())
