"""AutoGaze as a selector: mapping, budget, forbidden cells, and that nothing else has a say."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gaze.checkpoint import find_checkpoint
from gaze.grid import Pyramid
from gaze.model import AutoGaze
from gaze.preprocess import preprocess_on_device
from gaze.selectors import Kept, budget_tokens, list_selectors, select, share
from gaze.selectors import autogaze as of_autogaze
from gaze.selectors.autogaze import forbidden_cells, level, pieces_of, tokens_of_cells
from gaze.views import Views
from hlvid.errors import UserError

FIXTURE = Path(__file__).parents[1] / "fixtures" / "autogaze"
THRESHOLD = -2.6
"""At which the fixture's frames end early, each at its own place."""


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def canvas(num_frames: int, height: int, width: int, *, seed: int = 0) -> np.ndarray:
    """Blotches that drift."""
    random = np.random.default_rng(seed)
    rows, cols = -(-height // 64) + 1, -(-width // 64) + 1
    base = random.integers(0, 256, (1, rows, cols, 3))
    drift = random.normal(0, 40, (num_frames, rows, cols, 3)).cumsum(axis=0)
    small = np.clip(base + drift, 0, 255).astype(np.uint8)
    return small.repeat(64, axis=1).repeat(64, axis=2)[:, :height, :width]


def gaze(pixels: np.ndarray, name: str = "autogaze", **asked) -> Kept:
    asked = {"budget": None, "seed": 0, "video_id": "v", "weights": str(FIXTURE), **asked}
    return select(name, pixels, **asked)


def test_the_two_finest_scales_choose_what_they_cover_and_coarser_ones_nothing() -> None:
    places = tokens_of_cells(Pyramid(), 14)
    assert (places[:20] == -1).all()
    assert places[20].tolist() == [0, 1, 14, 15]
    assert places[68].tolist() == [180, 181, 194, 195]
    assert places[69:, 0].tolist() == list(range(196))
    assert (places[69:, 1:] == -1).all()


def test_at_native_size_a_token_is_one_cell_of_seven_or_four_of_fourteen() -> None:
    places = tokens_of_cells(Pyramid(), 7)
    assert (places[:20] == -1).all()
    assert places[20:69, 0].tolist() == list(range(49))
    assert np.bincount(places[69:, 0]).tolist() == [4] * 49
    assert places[69 + 14 + 1, 0] == 0 and places[69 + 2 * 14, 0] == 7


@pytest.mark.parametrize("size", [7, 14])
def test_a_union_chooses_every_token_that_a_cell_touches(size: int) -> None:
    places = tokens_of_cells(Pyramid(), size, "union")
    where = Pyramid().locate(np.arange(265))
    for cell, chosen in enumerate(places):
        side = Pyramid().sides[where.scale[cell]]
        # Two squares touch where their centres are nearer than half of both sides together.
        rows, cols = (
            [
                token
                for token in range(size)
                if abs((2 * token + 1) * side - (2 * at[cell] + 1) * size) < side + size
            ]
            for at in (where.row, where.col)
        )
        touched = [row * size + col for row in rows for col in cols]
        assert chosen[chosen >= 0].tolist() == touched


def test_the_finest_mapping_chooses_what_the_finest_cells_cover() -> None:
    places = tokens_of_cells(Pyramid(), 14, "finest")
    assert places.shape == (265, 1) and (places[:69] == -1).all()
    assert places[69:, 0].tolist() == list(range(196))


def test_masked_coarse_cells_are_not_gazed_at_and_cost_no_budget() -> None:
    kept = gaze(canvas(3, 448, 448), "autogaze-mask-coarse", budget=0.1)
    assert [cells.num_per_scale.tolist() for cells in kept.cells] == [
        [0, 0, 0, ids.size] for ids in kept.tokens
    ]
    assert kept.num_tokens == int(0.1 * 3 * 196)


def test_mappings_differ_in_what_the_same_gaze_keeps() -> None:
    pixels = canvas(2, 200, 448)
    aligned, finest, union = (
        gaze(pixels, name, threshold=THRESHOLD)
        for name in ("autogaze", "autogaze-finest", "autogaze-union")
    )
    for frame in range(2):
        few, some, many = (set(kept.tokens[frame].tolist()) for kept in (finest, aligned, union))
        assert few <= some <= many
        assert aligned.cells[frame].boxes.tolist() == union.cells[frame].boxes.tolist()
    assert finest.num_tokens < aligned.num_tokens < union.num_tokens


def test_only_cells_wholly_outside_the_canvas_are_forbidden() -> None:
    views = Views(9 * 32 - 5, 21 * 32)  # 9 rows; the second view has 7 columns
    _, right = pieces_of(views, 1)
    forbidden = forbidden_cells(Pyramid(), right)
    seen = np.split(~forbidden, np.cumsum([4, 16, 49]))
    sides = [mask.reshape(side, side) for mask, side in zip(seen, (2, 4, 7, 14), strict=True)]
    # Of 14 x 14 tokens 9 x 7 exist: of cells of 7, 3.5 and 2 tokens some reach beyond.
    assert [(m[:, 0].sum(), m[0].sum()) for m in sides] == [(2, 1), (3, 2), (5, 4), (9, 7)]
    assert sum(mask.sum() for mask in sides) == 2 * 1 + 3 * 2 + 5 * 4 + 9 * 7


def test_quarters_of_a_view_that_show_nothing_are_left_out() -> None:
    pieces = pieces_of(Views(32 * 5, 32 * 16), 2)
    assert [(piece.view, piece.row, piece.col) for piece in pieces] == [
        (0, 0, 0),
        (0, 0, 7),
        (1, 0, 14),
    ]
    assert (pieces[2].ids[:, :2] >= 0).sum() == 10 and (pieces[2].ids[:, 2:] < 0).all()


@pytest.mark.parametrize(
    ("name", "num_squares"),
    [("autogaze", 5 * 3), ("autogaze-native", 9 * 5), ("autogaze-union", 15)],
)
def test_every_square_that_is_shown_is_read_whole(name: str, num_squares: int) -> None:
    views = Views(32 * 28, 57 * 28, token_pixels=28)
    assert len(pieces_of(views, 2 if name == "autogaze-native" else 1)) == num_squares
    assert list_selectors()[name].tokens_read(views) == num_squares * 196


@given(st.lists(st.integers(0, 60), min_size=1, max_size=16), st.integers(0, 500))
def test_a_share_is_spent_as_evenly_as_can_be(counts: list[int], most: int) -> None:
    asked = np.array(counts, dtype=np.int64)
    kept = level(asked, most)
    assert kept.sum() == min(most, asked.sum())
    assert ((kept >= 0) & (kept <= asked)).all()
    if (is_cut := kept < asked).any():
        assert kept[is_cut].max() - kept[is_cut].min() <= 1
        assert kept[is_cut].min() >= kept.max() - 1
        assert (np.diff(kept[is_cut]) <= 0).all()


def test_tokens_are_what_the_model_chooses_of_the_view_at_half_size() -> None:
    pixels = canvas(3, 448, 448)
    model = AutoGaze.from_pretrained(FIXTURE)
    video = preprocess_on_device(torch.from_numpy(pixels).permute(0, 3, 1, 2))
    chosen = model.select(video[None], task_loss_requirement=THRESHOLD)
    kept = gaze(pixels, threshold=THRESHOLD)
    places = tokens_of_cells(Pyramid(), 14)
    for frame, ids in enumerate(chosen.kept(0)):
        expected = dict.fromkeys(places[ids.numpy()].ravel().tolist())
        expected.pop(-1, None)
        assert kept.tokens[frame].tolist() == list(expected)
        assert kept.cells[frame].num_per_scale.tolist() == [
            int(mask[0, frame].sum()) for mask in chosen.masks
        ]


@pytest.mark.parametrize(
    ("name", "budget"),
    [("autogaze", 0.003), ("autogaze", 0.1), ("autogaze-native", 0.05), ("autogaze-union", 0.05)],
)
def test_a_budget_is_never_exceeded_in_a_clip_of_a_view(name: str, budget: float) -> None:
    pixels, views = canvas(17, 100, 500), Views(100, 500)
    kept = gaze(pixels, name, budget=budget)
    shares = share(budget_tokens(budget, 17 * views.num_tokens), 17, views)
    counts = kept.counts(views)
    assert 0 < kept.num_tokens <= shares.sum()
    for clip in (slice(16), slice(16, 17)):
        assert (counts[clip].sum(axis=0) <= shares[clip].sum(axis=0)).all()


def test_what_a_budget_cuts_off_is_the_end_of_the_gaze() -> None:
    pixels = canvas(4, 448, 448)
    model = AutoGaze.from_pretrained(FIXTURE)
    video = preprocess_on_device(torch.from_numpy(pixels).permute(0, 3, 1, 2))
    cap = -(-int(0.05 * 4 * 196) * 265 // (4 * 196))
    whole = model.select(video[None], gazing_ratio=(cap + 0.5) / 265)
    kept = gaze(pixels, budget=0.05)
    places = tokens_of_cells(Pyramid(), 14)
    for frame, ids in enumerate(whole.kept(0)):
        order = [place for place in places[ids.numpy()].ravel().tolist() if place >= 0]
        order = list(dict.fromkeys(order))
        assert kept.tokens[frame].tolist() == order[: kept.tokens[frame].size]


def test_threshold_and_budget_stop_apart_and_together() -> None:
    pixels = canvas(3, 160, 448)
    by_threshold = gaze(pixels, threshold=THRESHOLD)
    assert gaze(pixels, threshold=1e6).num_tokens < by_threshold.num_tokens
    by_budget = gaze(pixels, budget=0.2)
    together = gaze(pixels, budget=0.2, threshold=THRESHOLD)
    assert together.num_tokens <= by_budget.num_tokens
    assert gaze(pixels).sha256 != by_threshold.sha256


def test_a_checkpoint_stops_by_its_own_threshold_and_cap(tmp_path: Path) -> None:
    raw = json.loads((FIXTURE / "config.json").read_text())
    raw["has_task_loss_requirement_during_inference"] = True
    raw["task_loss_requirement_config"]["fixed"]["task_loss_requirement"] = THRESHOLD
    (tmp_path / "config.json").write_text(json.dumps(raw))
    shutil.copy(FIXTURE / "model.safetensors", tmp_path)
    pixels = canvas(2, 448, 448)
    own = gaze(pixels, weights=str(tmp_path))
    video = preprocess_on_device(torch.from_numpy(pixels).permute(0, 3, 1, 2))[None]
    chosen = AutoGaze.from_pretrained(FIXTURE).select(
        video, gazing_ratio=0.5, task_loss_requirement=THRESHOLD
    )
    assert [int(cells.num_per_scale.sum()) for cells in own.cells] == chosen.num_kept[0].tolist()


@given(
    num_frames=st.sampled_from([1, 2, 5, 17]),
    height=st.sampled_from([1, 31, 33, 320, 449]),
    width=st.sampled_from([7, 64, 447, 500]),
    at_once=st.integers(1, 5),
    budget=st.sampled_from([None, 0.04]),
)
@settings(max_examples=6, deadline=None)
def test_no_size_length_batch_or_neighbour_changes_a_choice(
    num_frames: int, height: int, width: int, at_once: int, budget: float | None
) -> None:
    pixels = canvas(num_frames, height, width, seed=num_frames)
    asked = {"budget": budget, "threshold": THRESHOLD}
    alone = gaze(pixels, **asked)
    assert alone.num_frames == num_frames and alone.cells is not None
    before = of_autogaze.CLIPS_AT_ONCE["cpu"]
    of_autogaze.CLIPS_AT_ONCE["cpu"] = at_once
    try:
        gaze(canvas(2, 64, 64, seed=9), video_id="another", **asked)
        assert gaze(pixels, seed=5, video_id="w", **asked).sha256 == alone.sha256
    finally:
        of_autogaze.CLIPS_AT_ONCE["cpu"] = before
    if budget is None:
        left = gaze(pixels[:, :448, :448], **asked)  # the first view, without the others
        views, only = Views(height, width), Views(min(height, 448), min(width, 448))
        for many, few in zip(alone.tokens, left.tokens, strict=True):
            of_first = many[views.view_of[many] == 0]
            row, col = np.divmod(of_first, views.cols)
            assert (row * only.cols + col).tolist() == few.tolist()


def test_matched_controls_spend_what_autogaze_kept() -> None:
    pixels, views = canvas(6, 200, 600), Views(200, 600)
    kept = gaze(pixels, threshold=THRESHOLD)
    plain = {"budget": None, "seed": 1, "video_id": "v"}
    matched = select("random-matched:autogaze", pixels, partner=kept, **plain)
    assert (matched.counts(views) == kept.counts(views)).all()
    assert matched.sha256 != kept.sha256
    same = select("detail:autogaze", pixels, num_kept=kept.num_tokens, **plain)
    assert same.num_tokens == kept.num_tokens


def test_weights_are_refused_by_selectors_that_have_none() -> None:
    with pytest.raises(UserError, match="has no weights"):
        gaze(canvas(1, 32, 32), "detail", budget=0.5)


def test_a_pinned_checkpoint_is_refused_once_its_files_have_changed(tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(FIXTURE / name, tmp_path / name)
    pinned = find_checkpoint(tmp_path).pinned
    assert find_checkpoint(pinned).pinned == pinned
    raw = json.loads((tmp_path / "config.json").read_text())
    raw |= {"positions": "natural", "loss_kind": "pyramid", "license": "Apache-2.0"}
    (tmp_path / "config.json").write_text(json.dumps(raw))
    with pytest.raises(UserError, match="not those of sha256"):
        find_checkpoint(pinned)
    again = find_checkpoint(tmp_path)
    assert "#loss=pyramid&sha256=" in again.pinned
    assert AutoGaze.from_pretrained(tmp_path).positions == "natural"


def test_a_folder_of_that_name_is_not_the_checkpoint_that_ships(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mini").mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(FIXTURE / name, tmp_path / "mini" / name)
    monkeypatch.chdir(tmp_path)
    theirs = find_checkpoint(FIXTURE).sha256
    assert find_checkpoint("mini").sha256 != theirs
    for weights in ("./mini", Path("./mini"), Path("mini")):
        assert find_checkpoint(weights).sha256 == theirs
    pinned = find_checkpoint(Path("mini")).pinned
    assert find_checkpoint(pinned).sha256 == find_checkpoint(Path(pinned)).sha256 == theirs
    model = AutoGaze.from_pretrained(Path("./mini"))
    assert model.config == find_checkpoint(FIXTURE).config


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("positions", "sideways"),
        ("positions", 1),
        ("loss_kind", "Two Words"),
        ("loss_kind", "a&sha256=0"),
        ("license", "<b>mine</b>"),
        ("license", "x" * 200),
    ],
)
def test_what_a_checkpoint_says_of_itself_is_checked(tmp_path: Path, key: str, value) -> None:
    raw = json.loads((FIXTURE / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**raw, key: value}))
    shutil.copy(FIXTURE / "model.safetensors", tmp_path)
    with pytest.raises(UserError, match=f"{key} is"):
        find_checkpoint(tmp_path)


def test_terms_are_said_once_and_only_of_weights_without_a_licence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    raw = json.loads((FIXTURE / "config.json").read_text())
    for name, licence in (("without", {}), ("with", {"license": "Apache-2.0"})):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps({**raw, **licence}))
        shutil.copy(FIXTURE / "model.safetensors", tmp_path / name)
        for _ in range(2):
            AutoGaze.from_pretrained(tmp_path / name)
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 1
    assert "without: " in said[0] and "non-commercial research only" in said[0]


@pytest.mark.parametrize(
    "environment",
    [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}],
    ids=["offline", "unreachable"],
)
def test_a_hub_out_of_reach_is_one_sentence(tmp_path: Path, environment: dict[str, str]) -> None:
    code = (
        "from gaze.checkpoint import MissingWeights, find_checkpoint\n"
        "try:\n    find_checkpoint('nvidia/AutoGaze')\n"
        "except MissingWeights as error:\n    print(error)\n"
    )
    clean = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    told = subprocess.check_output(
        [sys.executable, "-c", code],
        env={**clean, "HF_HOME": str(tmp_path), **environment},
        text=True,
        timeout=60,
    )
    assert told.startswith("nvidia/AutoGaze: these weights are not on this machine")
    assert "13 MB" in told and "non-commercial" in told and "pass their folder" in told
