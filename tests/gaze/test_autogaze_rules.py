"""The decoding rules, away from any fixture: choice, batches, caches, lanes, savings."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from gaze.attention import Lanes, attend
from gaze.choose import choose
from gaze.config import GazeConfig
from gaze.decode import FrameDecoder
from gaze.decoder import Decoder
from gaze.model import AutoGaze
from gaze.vit import lane_table

# 30 cells a frame: every id can be used up, and a forward costs a millisecond.
TINY = GazeConfig(
    width=24, num_layers=2, num_heads=2, mlp_width=32, image_size=64, scales=(16, 32, 48, 64)
)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model():
    return AutoGaze.from_seed(TINY, 3)


def clips(batch, frames, seed):
    generator = torch.Generator().manual_seed(seed)
    base = torch.randn(batch, 1, 3, 8, 8, generator=generator)
    drift = 0.4 * torch.randn(batch, frames, 3, 8, 8, generator=generator)
    small = (base + drift.cumsum(1)).flatten(0, 1)
    return F.interpolate(small, size=(64, 64), mode="bilinear").unflatten(0, (batch, frames))


def choose_by_hand(logits, losses, used, cap, threshold, taken):
    """The rules as a loop over one lane."""
    ids, padded, any_stop = [], [], False
    taken = set(taken)
    cells = logits.shape[1] - 1
    for head in range(logits.shape[0]):
        if used + head >= cap or len(taken) == cells:
            break
        free = [i for i in range(cells) if i not in taken]
        best = max(free, key=lambda i: (logits[head, i].item(), -i))
        taken.add(best)
        stop = losses[head].item() <= threshold and not (used == 0 and head == 0)
        ids.append(best)
        padded.append(stop)
        any_stop |= stop
    end = any_stop or used + len(ids) >= cap or len(taken) == cells
    return ids, padded, end, taken


@given(
    seed=st.integers(0, 10_000),
    heads=st.sampled_from([1, 3, 10]),
    used=st.integers(0, 12),
    extra=st.integers(1, 25),
    threshold=st.sampled_from([-math.inf, -1.0, 0.0, 0.7, math.inf]),
    num_taken=st.integers(0, 29),
    has_ties=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_choose_equals_a_loop(seed, heads, used, extra, threshold, num_taken, has_ties):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(1, heads, 31, generator=generator)
    if has_ties:
        logits = logits.round()
    losses = torch.randn(1, heads, generator=generator)
    taken = torch.zeros(1, 30, dtype=torch.bool)
    taken[0, torch.randperm(30, generator=generator)[:num_taken]] = True
    before = taken[0].nonzero().flatten().tolist()
    found = choose(
        logits,
        losses,
        used=torch.tensor([used]),
        cap=torch.tensor([used + extra]),
        threshold=torch.tensor([threshold]),
        taken=taken,
    )
    ids, padded, end, after = choose_by_hand(
        logits[0], losses[0], used, used + extra, threshold, before
    )
    count = int(found.num_emitted)
    assert found.ids[0, :count].tolist() == ids
    assert found.is_padded[0, :count].tolist() == padded
    assert bool(found.is_end) == end
    real = [one for one, stop in zip(ids, padded, strict=True) if not stop]
    assert found.pending[0, : int(found.num_pending)].tolist() == real
    assert set(taken[0].nonzero().flatten().tolist()) == after


@pytest.mark.parametrize("where", [1, 2, 10])
def test_the_first_token_of_a_frame_is_never_padded(where):
    losses = torch.ones(1, 10)
    losses[0, where - 1] = -1.0
    found = choose(
        torch.randn(1, 10, 31),
        losses,
        used=torch.tensor([0]),
        cap=torch.tensor([30]),
        threshold=torch.tensor([0.0]),
        taken=torch.zeros(1, 30, dtype=torch.bool),
    )
    expected = [j == where - 1 and j > 0 for j in range(10)]
    assert found.is_padded[0].tolist() == expected
    assert bool(found.is_end) == (where > 1)


@given(
    seed=st.integers(0, 1000),
    batch=st.integers(2, 4),
    frames=st.integers(1, 20),
    ratio=st.floats(0.01, 1.0),
    quantile=st.none() | st.floats(0.05, 0.95),
)
@settings(max_examples=20, deadline=None)
def test_choices_depend_on_no_neighbour_and_no_order(model, seed, batch, frames, ratio, quantile):
    video = clips(batch, frames, seed)
    threshold = None
    if quantile is not None:
        first = video[:, :1]
        losses = model.log_prob(first, model.select(first, gazing_ratio=1.0)).predicted_loss
        threshold = float(losses.flatten().quantile(quantile))
    controls = {"gazing_ratio": ratio, "task_loss_requirement": threshold}
    order = torch.randperm(batch, generator=torch.Generator().manual_seed(seed))
    together = model.select(video[order], **controls)
    state = None
    for place, index in enumerate(order.tolist()):
        alone = model.select(video[index : index + 1], **controls)
        here = together.clip(place)
        assert torch.equal(here.positions, alone.clip(0).positions)
    for t in range(frames):
        one, state = model.stream(video[order][:, t : t + 1], state, **controls)
        assert torch.equal(one.mask[:, 0], together.mask[:, t])


def test_no_id_is_chosen_twice_and_forbidden_ones_never(model):
    forbidden = torch.rand(2, TINY.num_cells, generator=torch.Generator().manual_seed(1)) < 0.5
    gaze = model.select(clips(2, 3, 5), gazing_ratio=1.0, forbidden=forbidden)
    for index in range(2):
        for kept in gaze.kept(index):
            assert kept.unique().numel() == kept.numel() == int((~forbidden[index]).sum())
            assert not forbidden[index][kept].any()


def test_both_position_rules_exist_and_differ():
    video = clips(3, 4, 7)
    released = AutoGaze.from_seed(TINY, 3).select(video, gazing_ratio=1.0)
    natural = AutoGaze.from_seed(TINY, 3, positions="natural").select(video, gazing_ratio=1.0)
    assert not torch.equal(released.positions, natural.positions)


def test_natural_positions_choose_what_scoring_ranks_first():
    model = AutoGaze.from_seed(TINY, 3, positions="natural")
    video = clips(1, 3, 8)
    gaze = model.select(video, gazing_ratio=0.9)
    best = model.log_prob(video, gaze).log_prob
    for slot in range(0, 27, 10):
        # The first head of each block chose among all unused ids; only used ids may rank higher.
        for other in range(TINY.num_cells):
            if other in gaze.positions[0, :slot].tolist():
                continue
            ids = gaze.positions.clone()
            ids[0, slot] = other
            swapped = dataclasses.replace(gaze, positions=ids)
            assert model.log_prob(video, swapped).log_prob[0, slot] <= best[0, slot] + 1e-5


def test_one_row_of_the_last_layer_is_enough(model):
    """The saving gives the logits that a plain forward over all rows gives."""
    decoder: Decoder = model.decoder
    video = clips(2, 1, 9)
    features, _ = model.encoder(video)
    seen = []
    engine = FrameDecoder(decoder, _state(model, 2))
    forward = engine._forward

    def watch(*arguments):
        seen.append(forward(*arguments))
        return seen[-1]

    engine._forward = watch
    engine.frame(features[:, 0], cap=torch.ones(2, dtype=torch.int64), threshold=_none(2))
    whole = decoder.whole(features[:, 0], torch.arange(16).expand(2, 16))
    logits, losses = decoder.heads(whole[:, -1])
    assert torch.allclose(seen[0][0], logits, atol=1e-5)
    assert torch.allclose(seen[0][1], losses, atol=1e-5)


def _state(model, batch):
    from gaze.decode import new_state

    return new_state(model.decoder, batch=batch, rows=128)


def _none(batch):
    return torch.full((batch,), -math.inf)


@pytest.mark.parametrize(
    "pattern", ["block_causal", "causal", "bidirectional", "frame_independent"]
)
@pytest.mark.parametrize("counts", [[[3, 0, 5], [1, 4, 2]], [[0, 0], [7, 1]], [[2, 2], [2, 2]]])
def test_attention_patterns_equal_a_dense_mask(pattern, counts):
    counts = torch.tensor(counts)
    total = int(counts.sum())
    batch, frames = counts.shape
    clip = torch.arange(batch).repeat_interleave(counts.sum(1))
    frame = torch.arange(frames).repeat(batch).repeat_interleave(counts.flatten())
    index = torch.arange(total)
    seen = clip[:, None] == clip[None]
    if pattern == "block_causal":
        seen &= frame[:, None] >= frame[None]
    if pattern == "frame_independent":
        seen &= frame[:, None] == frame[None]
    if pattern == "causal":
        seen &= index[:, None] >= index[None]
    q, k, v = torch.randn(3, total, 2, 8).unbind(0)
    dense = F.scaled_dot_product_attention(
        q.transpose(0, 1), k.transpose(0, 1), v.transpose(0, 1), attn_mask=seen
    ).transpose(0, 1)
    lanes = lane_table(counts, pattern)
    for backend in ("split", "masked"):
        assert torch.allclose(attend(q, k, v, lanes, backend=backend), dense, atol=1e-5)


def test_lanes_without_keys_give_zeros_and_slots_may_lie_anywhere():
    q, k, v = torch.randn(3, 200, 2, 8).unbind(0)
    rows, lengths, starts = [4, 6, 1, 5, 5], [0, 3, 60, 5, 41], [0, 50, 20, 7, 100]
    lanes = Lanes(
        q_start=torch.tensor([0, *torch.tensor(rows).cumsum(0).tolist()], dtype=torch.int32),
        k_start=torch.tensor(starts, dtype=torch.int32),
        k_len=torch.tensor(lengths, dtype=torch.int32),
        max_q=6,
        max_k=60,
        causal=True,
    )
    found = attend(q[:21], k, v, lanes, backend="split")
    assert torch.allclose(found, attend(q[:21], k, v, lanes, backend="masked"), atol=1e-5)
    assert not found[:7].any()
    assert found[7:].any(dim=(1, 2)).all()


def test_scoring_has_gradients_and_ignores_padding():
    model = AutoGaze.from_seed(TINY, 3).requires_grad_(True)
    video = clips(2, 2, 11)
    gaze = model.select(video, gazing_ratio=0.8, task_loss_requirement=0.3)
    assert gaze.is_padding.any()
    score = model.log_prob(video, gaze)
    assert not score.log_prob[gaze.is_padding].any()
    (score.log_prob.sum() + score.predicted_loss.sum()).backward()
    grads = [parameter.grad for parameter in model.parameters()]
    assert all(grad is not None and grad.isfinite().all() for grad in grads)
    alone = model.log_prob(video[1:], gaze.clip(1))
    real = ~gaze.is_padding[1]
    expected = alone.log_prob[0][~gaze.clip(1).is_padding[0]]
    assert torch.allclose(score.log_prob[1][real], expected, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_turns_no_position(dtype):
    position = torch.tensor([0, 1, 6300])
    full = AutoGaze.from_seed(TINY, 3).decoder.rotary(position)
    half = AutoGaze.from_seed(TINY, 3, dtype=dtype).decoder.rotary(position)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(full, half, strict=True))


def test_a_long_video_is_gazed_clip_by_clip(model):
    video = clips(1, 37, 12)
    whole = model.select(video, gazing_ratio=0.3)
    for first in (0, 16, 32):
        part = model.select(video[:, first : first + 16], gazing_ratio=0.3)
        assert torch.equal(whole.mask[:, first : first + 16], part.mask)
