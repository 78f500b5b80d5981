import pytest
import torch
from towers import encode_all, encode_dense, encode_kept, finest, random_tower, widened

from gaze.config import GazeConfig
from gaze.grid import Pyramid
from gaze.vit import Kept, VitConfig

CONFIG = GazeConfig(image_size=64, scales=(32, 64))


def small_tower(scales):
    config = VitConfig(
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=3,
        image_size=scales[-1],
        patch_size=16,
        scales=scales,
    )
    tower = random_tower(config)
    for weight in tower.parameters():
        if weight.ndim > 1:
            weight.data *= 10  # so that attention is not the same everywhere
    return tower


def random_kept(*, clips, frames, count):
    order = torch.rand(clips, frames, 20, generator=torch.Generator().manual_seed(1)).argsort(-1)
    index = torch.arange(clips * frames * count) // count
    return Kept(
        clip=index // frames,
        frame=index % frames,
        cell=order[..., :count].flatten(),
        counts=torch.full((clips, frames), count),
    )


def test_scores_at_once_equal_lane_by_lane():
    tower = small_tower((32, 64))
    video = torch.randn(2, 3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    everything = finest(tower.config, clips=2, frames=3, device=torch.device("cpu"))
    assert everything.cell.min() == 4
    assert everything.cell.numel() == 2 * 3 * 16
    some = random_kept(clips=2, frames=3, count=5)
    with torch.no_grad():
        off = encode_all(tower, video, everything)
        on = encode_kept(tower, video, some)
        assert torch.allclose(
            off, encode_dense(tower, video, everything, is_causal=False), atol=1e-4
        )
        assert torch.allclose(on, encode_dense(tower, video, some, is_causal=True), atol=1e-4)
        assert not torch.allclose(on, encode_all(tower, video, some), atol=1e-2)


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_cell_becomes_the_cells_that_it_covers(times):
    kept = random_kept(clips=1, frames=2, count=7)
    wide = widened(kept, CONFIG, times)
    assert wide.counts.tolist() == [[7 * times**2] * 2]
    assert wide.frame.tolist() == kept.frame.repeat_interleave(times**2).tolist()
    coarse, fine = Pyramid((2, 4)), Pyramid((2 * times, 4 * times))
    here = coarse.locate(kept.cell.numpy())
    there = fine.locate(wide.cell.numpy().reshape(-1, times**2))
    assert (there.scale == here.scale[:, None]).all()
    assert (there.row // times == here.row[:, None]).all()
    assert (there.col // times == here.col[:, None]).all()
    assert len({tuple(pair) for pair in zip(wide.frame.tolist(), wide.cell.tolist(), strict=True)}
               ) == 14 * times**2  # fmt: skip
