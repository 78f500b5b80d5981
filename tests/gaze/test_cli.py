import json
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

from gaze.bench import work_gflop
from gaze.cli import app
from gaze.config import autogaze_base
from gaze.gazes import Gaze
from gaze.selectors import Cells, list_selectors, select
from gaze.show import ACCENT, overlay, scale_colour
from gaze.verify import Upstream, drifting_clips, run_upstream
from hlvid.errors import UserError
from hlvid.files import sha256_file
from hlvid.video import VideoReader

FIXTURE = Path(__file__).parents[1] / "fixtures" / "autogaze"
WEIGHTS = FIXTURE / "model.safetensors"
NUM_FRAMES, HEIGHT, WIDTH = 20, 256, 336


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds in which a checkered square jumps over a grey wall."""
    path = tmp_path_factory.mktemp("video") / "wall.mp4"
    checks = np.kron(np.indices((16, 16)).sum(axis=0) % 2, np.ones((4, 4))).astype(np.uint8) * 200
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(NUM_FRAMES):
            pixels = np.full((HEIGHT, WIDTH, 3), 128, dtype=np.uint8)
            left = 64 * (number % 4)
            pixels[64:128, left : left + 64] = checks[..., None]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path


def call(*words: object) -> str:
    """Run the command in this process; a mistake of the user is raised."""
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_selectors_are_listed_for_people_and_for_scripts() -> None:
    lines = call("selectors")
    told = json.loads(call("selectors", "--json"))
    assert {entry["name"] for entry in told} == set(list_selectors())
    for name in list_selectors():
        assert f"{name} " in lines
    assert "shares the reader's detector" in lines


def test_run_writes_what_select_keeps(video: Path, tmp_path: Path) -> None:
    out = tmp_path / "gaze.npz"
    words = ("run", video, "--selector", "detail", "--budget", 0.1, "--frames", 4, "--out", out)
    told = json.loads(call(*words, "--json"))
    with np.load(out, allow_pickle=False) as file:
        about = json.loads(str(file["about"]))
        tokens = np.split(file["tokens"], np.cumsum(file["num_per_frame"])[:-1])
        assert file["frame_index"].tolist() == [0, 6, 13, 19]
        assert file["frame_seconds"] == pytest.approx([0.0, 0.6, 1.3, 1.9])
    assert (about["rows"], about["cols"]) == (8, 11)
    assert told["num_tokens"] == sum(ids.size for ids in tokens) == 35
    assert told["kept_sha256"] == about["kept_sha256"]
    for frame, ids in enumerate(tokens):
        row, col = np.divmod(ids[:4], 11)
        left = 2 * ([0, 6, 13, 19][frame] % 4)
        assert set(zip(row.tolist(), col.tolist(), strict=True)) == {
            (2, left),
            (2, left + 1),
            (3, left),
            (3, left + 1),
        }


def test_frames_are_timed_from_the_first_one_on(video: Path, tmp_path: Path) -> None:
    late, out = tmp_path / "late.mkv", tmp_path / "gaze.npz"
    with av.open(str(video)) as source, av.open(str(late), "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                later = round(1.4 / packet.time_base)
                packet.pts, packet.dts, packet.stream = (
                    packet.pts + later,
                    packet.dts + later,
                    stream,
                )
                container.mux(packet)
    with VideoReader(late) as reader:
        assert float(reader.index.pts[0] * reader.index.time_base) == pytest.approx(1.4)
    call("run", late, "--selector", "detail", "--budget", 0.1, "--frames", 4, "--out", out)
    with np.load(out, allow_pickle=False) as file:
        assert file["frame_seconds"] == pytest.approx([0.0, 0.6, 1.3, 1.9])


def test_run_twice_writes_the_same_bytes_and_tells_every_frame(video: Path, tmp_path: Path) -> None:
    outs = [tmp_path / "a.npz", tmp_path / "b.npz"]
    for out in outs:
        told = call(
            "run", video, "--selector", "random", "--budget", 0.5, "--frames", 3, "--out", out
        )
    assert outs[0].read_bytes() == outs[1].read_bytes()
    assert [line.split()[0] for line in told.splitlines()] == ["frame", "0", "10", "19"]
    assert sum(int(line.split()[2]) for line in told.splitlines()[1:]) == 132


def test_a_short_video_is_read_whole(video: Path, tmp_path: Path) -> None:
    out = tmp_path / "gaze.npz"
    words = ("run", video, "--selector", "change-unbounded", "--threshold", 0.05, "--frames", 50)
    told = json.loads(call(*words, "--out", out, "--json"))
    counts = told["num_per_frame"]
    assert len(counts) == NUM_FRAMES
    assert counts[0] == 88
    assert max(counts[1:]) <= 12


def test_show_draws_a_strip_and_a_plot(video: Path, tmp_path: Path) -> None:
    out = tmp_path / "gaze.png"
    call("show", video, "--selector", "detail", "--budget", 0.1, "--frames", 12, "--out", out)
    with Image.open(out) as page:
        pixels = np.asarray(page)
    assert pixels.shape[1] == 3 * (640 + 16) + 16
    assert np.all(pixels == ACCENT, axis=2).sum() > 1000


def test_autogaze_tells_tokens_and_cells_of_every_frame(video: Path, tmp_path: Path) -> None:
    out = tmp_path / "gaze.npz"
    words = ("run", video, "--weights", FIXTURE, "--budget", 0.1, "--frames", 3, "--out", out)
    told = json.loads(call(*words, "--json"))
    with np.load(out, allow_pickle=False) as file:
        about = json.loads(str(file["about"]))
        assert about["weights"].startswith(f"{FIXTURE}#loss=videomae&sha256=")
        assert about["scales"] == [2, 4, 7, 14]
        assert file["cell_boxes"].shape == (file["cells_per_frame"].sum(), 4)
        counts = np.bincount(file["cell_scale"], minlength=4)
        places = file["cell_boxes"]
        assert (places[:, :2] < [8, 11]).all() and (places[:, 2:] > places[:, :2]).all()
    assert told["num_tokens"] <= 0.1 * 3 * 88
    assert [sum(told["num_per_scale"][f"{n}x{n}"]) for n in (2, 4, 7, 14)] == counts.tolist()
    header, *rows = call(*words).splitlines()
    assert header.endswith("cells 2x2  cells 4x4  cells 7x7  cells 14x14")
    assert [int(row.split()[2]) for row in rows] == told["num_per_frame"]


def test_show_makes_a_page_that_asks_for_nothing_and_escapes_names(
    video: Path, tmp_path: Path
) -> None:
    named = tmp_path / "<img src=x onerror=alert(1)>.mp4"
    named.symlink_to(video)
    out = tmp_path / "gaze.html"
    call("show", named, "--weights", FIXTURE, "--budget", 0.1, "--frames", 2, "--out", out)
    page = out.read_text()
    assert "<img src=x" not in page and "&lt;img src=x onerror=alert(1)&gt;.mp4" in page
    assert "default-src 'none'" in page and "<script" not in page
    assert "http://" not in page and "https://" not in page
    assert page.count("data:image/png;base64,") == 3
    assert "14x14" in page


def test_cells_are_drawn_in_the_colour_of_their_scale_and_coarse_ones_stay_grey() -> None:
    frame = np.full((128, 128, 3), (200, 100, 50), dtype=np.uint8)
    mask = np.zeros((4, 4), dtype=bool)
    mask[0, 0] = True
    boxes = np.array([[2, 2, 5.5, 5.5], [0, 0, 1, 1]], dtype=np.float32)
    cells = Cells(boxes, np.array([1, 3], dtype=np.int8), (2, 4, 7, 14))
    drawn = np.asarray(overlay(frame, mask, token_share=(0.25, 0.25), cells=cells))
    assert tuple(drawn[0, 10]) == scale_colour(3) and tuple(drawn[64, 100]) == scale_colour(1)
    assert tuple(drawn[16, 16]) == (200, 100, 50)
    assert np.ptp(drawn[100, 100]) == 0 < drawn[100, 100, 0] - drawn[20, 100, 0]


def test_info_says_what_a_checkpoint_is() -> None:
    told = json.loads(call("info", FIXTURE, "--json"))
    assert (told["layers"], told["width"], told["cap"], told["threshold"]) == (2, 48, 132, None)
    assert (told["loss_kind"], told["positions"]) == ("videomae", "released")
    assert told["parameters"] == sum(t.numel() for t in load_file(WEIGHTS).values())
    assert told["files_sha256"]["model.safetensors"] == sha256_file(WEIGHTS)
    words = call("info", FIXTURE)
    assert "non-commercial research only" in words and "132 of 265 cells" in words


def test_verify_finds_the_fixture_in_order() -> None:
    lines = list(map(json.loads, call("verify", "--weights", FIXTURE, "--json").splitlines()))
    assert [line["passed"] for line in lines[:3]] == [True, True, True]
    assert lines[-1]["passed"] is None and "--upstream" in lines[-1]["detail"]


@pytest.mark.parametrize("has_package", [True, False])
def test_a_checkout_that_cannot_be_run_is_one_sentence(tmp_path: Path, has_package: bool) -> None:
    if has_package:
        (tmp_path / "autogaze").mkdir()
        (tmp_path / "autogaze" / "__init__.py").write_text("raise ValueError('no such thing')")
    expected = "ValueError: no such thing" if has_package else "holds no folder 'autogaze'"
    clips = drifting_clips(autogaze_base(), num_clips=1, num_frames=1, seed=0)
    with pytest.raises(UserError, match=expected):
        run_upstream(str(FIXTURE), clips, [], Upstream(tmp_path, Path(sys.executable)))


def test_bench_times_the_model_and_the_selector() -> None:
    words = ("bench", "--weights", FIXTURE, "--clips", 1, "--frames", 1, "--repeats", 1)
    model, selector = map(json.loads, call(*words, "--resolution", "64x64", "--json").splitlines())
    assert (model["what"], model["clips"], selector["views"]) == ("model", 1, 1)
    assert model["ms"] > 0 and model["times_matmul_bound"] > 0 and selector["ms"] > 0


def test_the_work_of_a_gaze_is_counted_as_it_is_done() -> None:
    counts = torch.full((16,), 26)
    gaze = Gaze(
        torch.zeros(1, 416), torch.zeros(1, 416, dtype=torch.bool), counts, (4, 16, 49, 196)
    )
    assert work_gflop(autogaze_base(), gaze) == pytest.approx(30.4, abs=0.05)


def test_overlay_leaves_what_was_kept_and_dims_the_rest() -> None:
    frame = np.full((64, 96, 3), (200, 100, 50), dtype=np.uint8)
    mask = np.zeros((2, 3), dtype=bool)
    mask[0, 1] = True
    drawn = np.asarray(overlay(frame, mask, token_share=(0.5, 1 / 3)))
    assert np.all(drawn[1:32, 33:64] == (200, 100, 50))
    assert np.ptp(drawn[40, 80]) == 0
    assert drawn[40, 80, 0] < 80
    assert np.all(drawn[10, 32] == ACCENT) and np.all(drawn[32, 40] == ACCENT)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--selector", "oracle", "--budget", "0.1"), "hlvid-eval --gaze on"),
        (("--selector", "random-matched:detail"), "hlvid-eval --gaze on"),
        (("--selector", "detail:autogaze", "--budget", "0.1"), "hlvid-eval --gaze on"),
        (("--selector", "detail"), "needs --budget"),
        (("--selector", "detail", "--budget", "2"), "Allowed are ratios in"),
        (("--selector", "nonsense", "--budget", "0.1"), "Installed are"),
        (("--selector", "detail", "--budget", "1", "--weights", "x/y"), "has no weights"),
        (("--weights", "./nowhere"), "no checkpoint directory"),
    ],
)
def test_what_cannot_be_run_says_why_and_writes_nothing(
    video: Path, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    out = tmp_path / "gaze.npz"
    with pytest.raises(UserError, match=message):
        call("run", video, *words, "--out", out)
    assert not out.exists()


def test_a_mistake_is_one_line_and_exit_code_2(video: Path, tmp_path: Path) -> None:
    code = "from gaze.cli import main; main()"
    words = [sys.executable, "-c", code, "run", str(video), "--selector", "nonsense"]
    result = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert "Traceback" not in result.stderr


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from gaze.cli import app; from typer.testing import CliRunner; "
        "assert 'hlvid-gaze run' in CliRunner().invoke(app, ['--help']).output; "
        "print(sorted({'numpy', 'torch', 'scipy', 'av', 'pydantic'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_selecting_needs_no_torch(video: Path) -> None:
    code = (
        "import sys, numpy as np, gaze.grid, gaze.recall; from gaze.selectors import select; "
        "select('change', np.zeros((2, 64, 64, 3), np.uint8), budget=0.5, seed=0, video_id='v'); "
        "print('torch' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"
    assert select("all", np.zeros((1, 8, 8, 3), np.uint8), budget=None, seed=0, video_id="v")
