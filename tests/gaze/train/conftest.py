import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def moving_pixels(batch, frames, size, seed=0):
    """Smooth random pictures that drift, with a sharp bright square that jumps."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(batch, 1, 3, 9, 9, generator=generator)
    drift = 0.2 * torch.randn(batch, frames, 3, 9, 9, generator=generator).cumsum(1)
    small = (coarse + drift).flatten(0, 1)
    video = torch.nn.functional.interpolate(small, size=(size, size), mode="bicubic")
    video = (255 * video.unflatten(0, (batch, frames))).clamp(0, 255)
    for clip in range(batch):
        for frame in range(frames):
            top, left = torch.randint(0, size - size // 5, (2,), generator=generator).tolist()
            video[clip, frame, :, top : top + size // 5, left : left + size // 5] = 250
    return video.round().to(torch.uint8)


@pytest.fixture
def pixels():
    return moving_pixels
