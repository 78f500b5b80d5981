"""Training qwen3-mini: the exam's own path, a run that goes on, a directory that stock loads."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from evaluators.engine import quiet

quiet()

import torch  # noqa: E402
from safetensors import safe_open  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from evaluators.canvas import Canvas  # noqa: E402
from evaluators.cli import app  # noqa: E402
from evaluators.examinee import View  # noqa: E402
from evaluators.models.qwen import Qwen, weights  # noqa: E402
from evaluators.timing import Stopwatch  # noqa: E402
from evaluators.train import publishing  # noqa: E402
from evaluators.train.batches import IGNORED, Batches, write_batch  # noqa: E402
from evaluators.train.course import Lessons, train  # noqa: E402
from evaluators.train.looks import SIDE, Cells, Look, cells_of  # noqa: E402
from evaluators.train.model import Mini, num_parameters, write_checkpoint  # noqa: E402
from evaluators.train.objective import _shown  # noqa: E402
from evaluators.train.scenes import draw_scene  # noqa: E402
from evaluators.train.settings import MiniSettings, ModelSettings, read_settings  # noqa: E402
from evaluators.train.tasks import ask_options  # noqa: E402
from gaze.selectors import Kept  # noqa: E402
from hlvid.errors import UserError  # noqa: E402
from hlvid.files import parse_record, sha256_file  # noqa: E402
from hlvid.synthetic import photographs  # noqa: E402
from hlvid.types import ArmSettings, Question  # noqa: E402

SIZES = {
    "vision_width": 32, "vision_layers": 2, "vision_heads": 2, "vision_mlp": 48,
    "deepstack": [0], "width": 64, "layers": 2, "heads": 4, "kv_heads": 2, "mlp": 64,
    "positions": 16,
}  # fmt: skip
SMALL = {
    "steps": 6,
    "learning_rate": 2e-3,
    "clip_norm": 1.0,
    "log_every": 1,
    "save_every": 2,
    "validate_every": 2,
    "validation_looks": 2,
    "model": SIZES,
    "stages": [
        {"name": "first", "steps": 3, "tasks": {"dense": 1.0}, "looks": 2, "tokens": 24},
        {
            "name": "last", "steps": 3, "tasks": {"read": 0.3, "options": 0.7}, "looks": 2,
            "asks": 2, "tokens": 24, "slices": 2, "crowds": 0.5,
        },
    ],
}  # fmt: skip


def settings_of(**changes):
    return parse_record(json.dumps({**SMALL, **changes}).encode(), MiniSettings, where="test")


def curve(folder):
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    steps = (line for line in lines if "slice" not in line)
    return [{k: v for k, v in line.items() if "seconds_a_step" not in k} for line in steps]


def state(folder):
    with safe_open(folder / "last.safetensors", framework="pt") as opened:
        return {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A model with values so large that every token shows in its logits."""
    folder = tmp_path_factory.mktemp("mini")
    model = Mini(ModelSettings.model_validate(SIZES), seed=3)
    generator = torch.Generator().manual_seed(1)
    for parameter in model.network.parameters():
        if parameter.ndim > 1:
            parameter.data.normal_(0, 0.15, generator=generator)
    write_checkpoint(folder, model)
    return model, folder


@pytest.mark.parametrize("pairing", ["repeat", "stock"])
def test_training_takes_the_exams_own_path(checkpoint, pairing):
    """The same canvas, kept tokens and question through the adapter and through training."""
    model, folder = checkpoint
    qwen = Qwen(seed=0, weights=str(folder), device="cpu", pairing=pairing, context=0)
    rows, cols, num_frames = 3, 4, 4
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (num_frames, rows * SIDE, cols * SIDE, 3), dtype=np.uint8)
    moments = np.arange(num_frames) * 2.4
    canvas = Canvas(pixels, moments, "0" * 64, "0" * 64, 1.0, qwen.shape)
    frames = [(i, i) for i in range(4)] if pairing == "repeat" else [(0, 1), (2, 3)]
    kept = [rng.permutation(rows * cols)[: 2 + i].astype(np.int32) for i in range(len(frames))]
    arm = ArmSettings(gaze="on", selector="random", budget=0.3)
    view = View(canvas, Kept(tuple(kept), rows, cols), canvas.views, arm)
    ask = ask_options('What is under "IT"?', ["AB 1", "AB 2", "AC 1", "AC 2"], 2, spells=True)
    question = Question(
        question_id="q", video_id="v", category="c", text=ask.text, stem='What is under "IT"?',
        choices=("AB 1", "AB 2", "AC 1", "AC 2"), answer=None,
    )  # fmt: skip
    notes = qwen.watch(view, Stopwatch())
    prompt = qwen._prompter.prompt(question.text, notes.shown, notes.prefix)

    slices = [
        Cells.pair(cells_of(pixels[a]), cells_of(pixels[b]))[ids.astype(np.int64)]
        for ids, (a, b) in zip(kept, frames, strict=True)
    ]
    look = Look(rows, cols, tuple(slices), moments[np.array(frames)])
    sizes = ModelSettings.model_validate(SIZES)
    other = ask_options("Another one?", ["1", "2", "3", "4"], 0, spells=False)
    batch = write_batch(0, "options", [look], [[other, ask]], sizes)
    is_ours = (batch.parts[0] == 0) | (batch.parts[0] == 2)
    ids, positions = batch.ids[0, is_ours], batch.positions[1:, 0, is_ours]
    length = len(prompt.ids)
    assert torch.equal(ids[:length], prompt.ids)
    assert torch.equal(positions[:, :length], prompt.positions)
    tokenizer = qwen._processor.tokenizer
    assert tokenizer.decode(ids[length:]) == "C<|im_end|>"
    targets, matches = batch.targets[0, is_ours], batch.matches[0, is_ours]
    assert targets[length - 1 : length + 1].tolist() == ids[length:].tolist()
    assert (targets[: length - 1] == IGNORED).all()
    assert tokenizer.decode(ids[matches != IGNORED]) == "AB 1\nAB 2\nAC 1\nAC 2\n"

    lessons = Lessons(settings_of())
    lessons.model.network.load_state_dict(model.network.state_dict())
    with torch.no_grad():
        features = lessons.objective._features(batch)
        hidden = lessons.objective._hidden(batch, features)[0, is_ours][length - 1]
        logits = lessons.model.network.lm_head(hidden)
    assert torch.allclose(features.tokens, notes.features.tokens, atol=1e-4)
    answer = qwen.answer(question, notes, Stopwatch())
    scores = logits.log_softmax(-1)
    for letter, score in answer.letter_log_probabilities.items():
        assert float(scores[tokenizer(letter)["input_ids"][0]]) == pytest.approx(score, abs=1e-3)
    spread = answer.letter_log_probabilities.values()
    assert max(spread) - min(spread) > 1e-3


def test_stock_transformers_loads_the_directory(checkpoint):
    from transformers import AutoModelForImageTextToText, AutoProcessor

    _, folder = checkpoint
    processor = AutoProcessor.from_pretrained(folder)
    stock, info = AutoModelForImageTextToText.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert stock.config.text_config.tie_word_embeddings
    assert {path.name for path in folder.iterdir()} == set(publishing.FILES)
    turn = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}]}]
    text = processor.apply_chat_template(turn, add_generation_prompt=True, tokenize=False)
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    inputs = processor(text=[text], images=[image], do_resize=False, return_tensors="pt")
    assert inputs["image_grid_thw"].tolist() == [[1, 4, 6]]
    out = stock.generate(**inputs, max_new_tokens=2, do_sample=False)
    assert out.shape[1] > inputs["input_ids"].shape[1]
    said = "Zürich 4.30 PM"
    assert processor.tokenizer.decode(processor.tokenizer(said)["input_ids"]) == said


def test_the_shipped_configuration():
    settings = read_settings(Path("mini"))
    model = Mini(settings.model, seed=0)
    assert 4e6 <= num_parameters(model.network) <= 6e6
    assert 4 * num_parameters(model.network) < publishing.MAX_BYTES
    vision, text = model.network.config.vision_config, model.network.config.text_config
    assert (vision.patch_size, vision.spatial_merge_size, vision.temporal_patch_size) == (16, 2, 2)
    assert len(vision.deepstack_visual_indexes) >= 1
    assert text.rope_parameters["mrope_interleaved"]
    first = read_settings(Path("mini-read"))
    assert first.model == settings.model
    assert first.stages[0].name == "letters"
    assert first.stage_at(0).tasks == {"dense": 1.0}
    assert "exam" in settings.stage_at(settings.steps).tasks
    rng = np.random.default_rng(0)
    looks = (draw_scene(rng, "training", settings.stages[-1], num_asks=1)[0] for _ in range(16))
    tokens = sorted(len(look.labels) for look in looks)
    assert tokens[0] < 1000 and tokens[-1] > 4896  # what the exam shows at a tenth of the tokens
    with pytest.raises(UserError, match="the stages have 6"):
        settings_of(steps=7)


def test_the_learning_rate_rises_anew_where_a_stage_says_so():
    stages = [dict(SMALL["stages"][0], warmup=2), dict(SMALL["stages"][1], warmup=3)]
    settings = settings_of(stages=stages, hold=0.5, learning_rate=1.0, final_learning_rate=0.1)
    rates = [settings.learning_rate_at(step) for step in range(6)]
    falling = [1 - 0.9 * (step - 3) / 3 for step in (3, 4, 5)]
    wanted = [0.5, 1.0, 1.0, falling[0] / 3, falling[1] * 2 / 3, falling[2]]
    assert rates == pytest.approx(wanted)


def test_a_hidden_look_is_asked_about_and_not_shown(checkpoint):
    """What a prompt without a video looks like in the exam, beside one with a video."""
    model, _ = checkpoint
    sizes = ModelSettings.model_validate(SIZES)
    pixels = np.random.default_rng(1).integers(0, 256, (3 * SIDE, 4 * SIDE, 3), dtype=np.uint8)
    moments = np.zeros((1, 2))
    looks = [Look(3, 4, (cells_of(pixels)[np.array(ids)],), moments) for ids in ([1, 5], [2, 3, 7])]
    ask = ask_options("Which?", ["1", "2", "3", "4"], 1, spells=False)
    batch, shown = (
        write_batch(0, "options", looks, [[ask], [ask]], sizes, hidden=hidden)
        for hidden in ([True, False], [False, False])
    )
    assert batch.seen.tolist() == [False, False, True, True, True]
    video = model.network.config.video_token_id
    assert ((batch.ids == video).sum(1)).tolist() == [0, 3]
    lessons = Lessons(settings_of())
    lessons.model.network.load_state_dict(model.network.state_dict())
    with torch.no_grad():
        for one in (batch, write_batch(0, "options", looks, [[ask]] * 2, sizes, hidden=[True] * 2)):
            assert torch.isfinite(lessons.objective(one)["loss"])
        both = lessons.objective._features(shown)
        seen = _shown(both, batch.seen)
        ours = lessons.objective._hidden(batch, seen)[1]
        theirs = lessons.objective._hidden(shown, both)[1]
    real = batch.parts[1] >= 0
    assert torch.allclose(ours[real], theirs[shown.parts[1] >= 0], atol=1e-5)


def test_a_stage_may_leave_the_tower_as_it_is(tmp_path):
    stages = [SMALL["stages"][0], dict(SMALL["stages"][1], freezes=True)]
    settings = settings_of(stages=stages, weight_decay=0.0)
    train(settings, tmp_path, max_minutes=0)
    lessons, batches = Lessons(settings), Batches(settings)
    for step in (0, 3):
        lessons.begin_step(step)
        lessons.objective(batches[step])["loss"].backward()
        touched = any(one.grad is not None for one in lessons.model.tower.parameters())
        assert touched == (step == 0)
        lessons.model.zero_grad(set_to_none=True)


def test_slices_make_the_curve_of_one_piece(tmp_path):
    """Each slice is a process of its own start; a stage rests the language model at first."""
    settings = settings_of()
    first = train(settings, tmp_path / "sliced", max_minutes=0)
    assert (first.progress.step, first.is_done) == (2, False)
    while not train(settings, tmp_path / "sliced", max_minutes=0).is_done:
        pass
    assert train(settings, tmp_path / "whole").is_done
    assert curve(tmp_path / "sliced") == curve(tmp_path / "whole")
    ours, theirs = state(tmp_path / "sliced"), state(tmp_path / "whole")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    lines = curve(tmp_path / "whole")
    assert any("characters_accuracy" in line for line in lines)
    assert any("options_accuracy" in line or "read_accuracy" in line for line in lines)
    assert any("validation_first_characters_accuracy" in line for line in lines)
    assert any("validation_last_options_accuracy" in line for line in lines)
    with pytest.raises(UserError, match="other settings"):
        train(settings_of(seed=1), tmp_path / "whole")


def test_a_batch_is_a_function_of_its_number():
    settings = settings_of()
    for number in (0, 4):
        one, two = (Batches(settings)[number] for _ in range(2))
        assert torch.equal(one.patches, two.patches) and torch.equal(one.ids, two.ids)
    assert Batches(settings)[0].task == 0 and len(Batches(settings)[0].ids) == 0
    validation = Batches(settings, split="validation")[4]
    assert not torch.equal(validation.ids, Batches(settings)[4].ids)


def test_a_short_training_learns_to_tell_characters(tmp_path):
    """From the same few signs again and again: what a token shows can be learnt from it.

    To read signs that it has not seen takes a model some thousand steps, no test's time.
    """
    stage = {
        "name": "letters", "steps": 60, "tasks": {"dense": 1.0}, "looks": 2, "tokens": 48,
        "whole": 1.0, "moves": 0.0, "plain": 1.0,
    }  # fmt: skip
    sizes = {**SIZES, "vision_width": 64, "vision_mlp": 128}
    lessons = Lessons(settings_of(steps=60, stages=[stage], model=sizes))
    batch = lessons.batches()[0]
    optimiser = torch.optim.AdamW(lessons.model.parameters(), lr=4e-3)
    told = []
    for _ in range(60):
        found = lessons.objective(batch)
        found["loss"].backward()
        optimiser.step()
        optimiser.zero_grad()
        told.append(lessons.summarise({name: value.item() for name, value in found.items()}))
    assert told[-1]["dense_loss"] < 0.5 * told[0]["dense_loss"]
    assert told[-1]["characters_accuracy"] > 0.5 and told[-1]["patches_accuracy"] > 0.5


def test_another_run_can_begin_from_its_weights(tmp_path):
    train(settings_of(), tmp_path / "first", max_minutes=0)
    lessons = Lessons(settings_of(start=str(tmp_path / "first")))
    wanted = state(tmp_path / "first")
    found = dict(lessons.model.named_parameters())
    assert all(torch.equal(found[name], wanted[f"model.{name}"]) for name in found)
    with pytest.raises(UserError, match="cannot be read"):
        Lessons(settings_of(start=str(tmp_path)))


def test_the_command_trains_in_slices_and_publishes(tmp_path, monkeypatch, capsys):
    config, run, out = tmp_path / "small.json", tmp_path / "run", tmp_path / "qwen3-mini"
    config.write_text(json.dumps({**SMALL, "validate_every": 2}))
    words = ["train", "mini", "--config", str(config), "--out", str(run), "--workers", "0"]
    done = CliRunner().invoke(app, [*words, "--max-minutes", "0"])
    assert done.exit_code == 3, done.output
    assert json.loads(done.stdout)["step"] == 2 and "call again" in done.stderr

    monkeypatch.setattr(weights, "SHIPPED", out)
    with pytest.raises(UserError, match="make train-mini"):
        Qwen(seed=0, weights="mini")
    (told,) = Qwen.missing({"weights": "mini"})
    assert "make train-mini" in told
    published = CliRunner().invoke(
        app, ["train", "publish", str(run), "--config", str(config), "--out", str(out)]
    )
    assert published.exit_code == 0, published.output
    for name in weights.MINI:
        assert Qwen.missing({"weights": name}) == []
        made = Qwen(seed=0, weights=name, device="cpu")
        assert (made.shape.pairing, made.shape.context) == ("repeat", 0), "as it was trained"
        assert "--pairing" not in capsys.readouterr().err
        about = made.model
        stock = Qwen(seed=0, weights=name, device="cpu", pairing="stock", context=7)
        assert (stock.shape.pairing, stock.shape.context) == ("stock", 7)
        assert "Leave out --pairing and --context" in capsys.readouterr().err
        assert (about.weights, about.license) == ("qwen3-mini", "Apache-2.0")
    assert about.weights_sha256 is not None
    card = (out / "README.md").read_text()
    assert publishing.INSTRUMENT in card and "Not measured yet" in card
    assert "license: apache-2.0" in card
    curves = (out / publishing.CURVES).read_text()
    assert publishing.CURVES in card and "first: characters" in curves and "<polyline" in curves
    for photo in photographs.catalogue():
        assert (photo.author in card and photo.title in card) or photo.is_reserved
        assert photo.title not in card or not photo.is_reserved


def test_two_runs_are_one_curve_on_the_card():
    first, second = settings_of(), settings_of(seed=1)
    paces = [{"step": 2, "seconds_a_step": 1.5}, {"step": first.steps, "seconds_a_step": 0.5}]
    told = {"step": 3, "validation_second_options_accuracy": 0.5}
    settings, log = publishing.joined(first, paces, second, [told, {"step": 4, **paces[0]}])
    assert settings.steps == first.steps + second.steps
    assert settings.stages == (*first.stages, *second.stages)
    assert [line["step"] for line in log] == [2, first.steps, first.steps + 3, first.steps + 2]
    assert publishing._seconds(paces, "seconds_a_step") == 2 * 1.5 + (first.steps - 2) * 0.5


def test_the_card_tells_of_fitness_of_the_same_weights_only(tmp_path):
    config, run, out = tmp_path / "small.json", tmp_path / "run", tmp_path / "out"
    config.write_text(json.dumps({**SMALL, "validate_every": 2}))
    train(read_settings(config), run, max_minutes=0)
    publishing.publish(run, config, out)
    met = publishing.Criterion(name="oracle", wanted="80 %", found="81 %", is_met=True)
    fit = publishing.Fitness(
        weights_sha256=sha256_file(out / "model.safetensors"), benchmark="b", num_questions=190,
        settings="6 frames", criteria=(met,), is_fit=True, ships=True,
    )  # fmt: skip
    path = tmp_path / "fit.json"
    path.write_text(fit.model_dump_json())
    publishing.publish(run, config, out, fit=path)
    assert "| oracle | 80 % | 81 % | yes |" in (out / "README.md").read_text()
    path.write_text(fit.model_copy(update={"weights_sha256": "0" * 64}).model_dump_json())
    with pytest.raises(UserError, match="other weights"):
        publishing.publish(run, config, out, fit=path)


def test_a_killed_run_goes_on_with_workers(tmp_path):
    """The command as it is typed, with a process that draws batches."""
    settings = settings_of(steps=4, stages=[SMALL["stages"][0], {**SMALL["stages"][1], "steps": 1}])
    config = tmp_path / "small.json"
    config.write_text(settings.model_dump_json())
    command = [Path(sys.executable).with_name("hlvid-eval"), "train", "mini", "--config", config]
    out = tmp_path / "run"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for _ in range(2):
        done = subprocess.run(
            [*command, "--out", out, "--max-minutes", "0", "--workers", "1"],
            capture_output=True, text=True, env=environment,
        )  # fmt: skip
        if done.returncode != 3:
            break
    assert done.returncode == 0, done.stderr
    train(settings, tmp_path / "whole")
    assert curve(out) == curve(tmp_path / "whole")
    told = [line["slice"] for line in publishing.read_log(out) if "slice" in line]
    assert len(told) == 2 and all(one["hardware"]["cpu"] for one in told)
    assert publishing._machines(publishing.read_log(out)).endswith(told[0]["hardware"]["cpu"])
