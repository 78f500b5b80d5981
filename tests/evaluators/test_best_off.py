"""The best off configuration is chosen on another benchmark, by the same model, and said so."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from evaluators.arms import plan_arms
from evaluators.best_off import check_choices, choose, with_chosen
from evaluators.cli import app
from evaluators.engine import quiet
from evaluators.models.qwen import Qwen
from evaluators.run import Settings, run
from evaluators.variants import plan_variants
from hlvid.errors import UserError
from hlvid.runs import predictions_sha256, read_run, write_run
from hlvid.types import CHEAPER_OFF, BenchmarkId
from tests.evaluators.conftest import write_benchmark

quiet()

GAZE = plan_arms("both", ["detail@0.4"])
EXAM = {"benchmark": "tiny", "num_frames": 6}
ARMS = plan_variants([f"{name}:detail@0.4" for name in CHEAPER_OFF], GAZE)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    made = Qwen(seed=0, weights="small-qwen3-vl", load_format="dummy", device="cpu")
    made._network.save_pretrained(folder)
    made._processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def other(tmp_path_factory, weights):
    """Runs of all candidates on another benchmark."""
    folder, out = tmp_path_factory.mktemp("other"), tmp_path_factory.mktemp("runs")
    write_benchmark(folder, num_videos=3, name="other")
    options = {"weights": str(weights)}
    run(Settings("qwen", ARMS, str(folder), None, 6, out, options=options), ["hlvid-eval"])
    return out


@pytest.fixture
def runs(other, tmp_path):
    """A copy that may be changed."""
    return shutil.copytree(other, tmp_path / "other")


def records(folder):
    return {r.record.arm.name: r for r in (read_run(p.parent) for p in folder.glob("*/run.json"))}


def change(folder, name, **changes):
    """Rewrite one of the runs."""
    old = records(folder)[name]
    write_run(old.folder, old.record.model_copy(update=changes), old.predictions)


def sink(folder, *names):
    """Let candidates be ones that could not run."""
    for name in names:
        old = records(folder)[name]
        changes = {"status": "infeasible", "summary": None}
        changes |= {"predictions_sha256": predictions_sha256(())}
        write_run(old.folder, old.record.model_copy(update=changes), ())


def score(folder, **num_correct):
    """Let candidates have so many of 12 right."""
    for variant, num in num_correct.items():
        name = f"{variant.replace('_', '-')}:detail@0.4"
        summary = records(folder)[name].record.summary
        of = {"num_correct": num, "num_wrong": 12 - num, "num_unparsed": 0, "num_failed": 0}
        bounds = {"accuracy_low": 0.0, "accuracy_high": 1.0}
        accuracy = {"accuracy": num / 12, **bounds}
        change(folder, name, summary=summary.model_copy(update={**of, **accuracy}))


def test_the_most_accurate_is_chosen_and_its_note_says_by_what(runs):
    score(runs, fewer_frames=3, fewer_and_lower=7, lower_resolution=5)
    (choice,) = choose(runs, GAZE, **EXAM)
    assert choice.arm.name == "fewer-and-lower:detail@0.4"
    assert choice.arm.notes[-1] == (
        "best off configuration at equal tokens, chosen on other "
        "(fewer-and-lower 58.3%, lower-resolution 41.7%, fewer-frames 25.0%)"
    )
    arms = with_chosen(ARMS, [choice])
    assert [arm.name for arm in arms] == [arm.name for arm in ARMS]
    assert choice.arm in arms


def test_of_equals_the_first_is_chosen(runs):
    score(runs, fewer_frames=4, fewer_and_lower=4, lower_resolution=4)
    (choice,) = choose(runs, GAZE, **EXAM)
    assert choice.arm.variant == CHEAPER_OFF[0]


def test_the_chosen_arm_sits_beside_gaze_and_its_record_keeps_the_note(
    tiny, weights, runs, tmp_path
):
    score(runs, fewer_frames=3, fewer_and_lower=7, lower_resolution=5)
    common = ("--model", "qwen", "--weights", weights, "--benchmark", tiny, "--frames", 6)
    gaze = ("--gaze", "both", "--selector", "detail@0.4", "--best-off", runs, "--limit", 2)
    words = [str(word) for word in (*common, *gaze, "--out", tmp_path / "out", "--json")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.exception
    names = [row["arm"] for row in json.loads(done.stdout)["runs"]]
    assert names == ["off", "detail@0.4", "fewer-and-lower:detail@0.4"]
    sat = records(tmp_path / "out")
    spent, kept = (sat[name].predictions[0].tokens.visual for name in reversed(names[1:]))
    assert 0.5 * kept < spent <= kept
    assert "chosen on other" in sat["fewer-and-lower:detail@0.4"].record.arm.notes[-1]
    assert CliRunner().invoke(app, words).exit_code == 0  # nothing is left to do

    in_place = [word if word != str(tiny) else str(tmp_path / "again") for word in words]
    write_benchmark(tmp_path / "again", num_videos=3, name="other")
    error = CliRunner().invoke(app, in_place).exception
    assert isinstance(error, UserError) and "another benchmark than other" in str(error)


def test_what_cannot_choose_is_refused(runs):
    model = records(runs)["off"].record.model
    here = BenchmarkId(
        name="tiny", revision="1", questions_sha256="0" * 64, num_questions=8, num_videos=2
    )
    with pytest.raises(UserError, match="is for gaze arms"):
        choose(runs, GAZE[:1], **EXAM)
    with pytest.raises(UserError, match=r"holds no groups of whole runs of detail@0\.2 .*--also"):
        choose(runs, plan_arms("on", ["detail@0.2"]), **EXAM)
    choices = choose(runs, GAZE, **EXAM)
    off = records(runs)["off"].record
    asked = {"frames": off.frames, "generation": off.generation}
    check_choices(runs, choices, benchmark=here, model=model, **asked)
    for change_of_model, said in (
        ({"weights": "elsewhere"}, "Choose with the same model and weights"),
        ({"load_format": "dummy"}, "Choose with the same model and weights"),
    ):
        with pytest.raises(UserError, match=said):
            changed = model.model_copy(update=change_of_model)
            check_choices(runs, choices, benchmark=here, model=changed, **asked)
    asked["generation"] = {**off.generation, "max_new_tokens": 7}
    with pytest.raises(UserError, match=r"was sat with max_new_tokens \d+, and this is 7"):
        check_choices(runs, choices, benchmark=here, model=model, **asked)
    name = "fewer-frames:detail@0.4"
    change(runs, name, status="partial")
    with pytest.raises(UserError, match=f"{name}: is partial. Sit all of it"):
        choose(runs, GAZE, **EXAM)
    for changes in ({"limit": 3}, {"limit": None, "group_id": "0" * 16}):
        change(runs, name, status="complete", **changes)
        with pytest.raises(UserError, match="holds no groups of whole runs"):
            choose(runs, GAZE, **EXAM)


def test_trials_and_runs_on_other_frames_beside_do_not_choose(other, runs, weights, tmp_path):
    score(runs, fewer_frames=3, fewer_and_lower=7, lower_resolution=5)
    folder, options = tmp_path / "benchmark", {"weights": str(weights)}
    write_benchmark(folder, num_videos=3, name="other")
    for changed in ({"limit": 2}, {"num_frames": 4}):
        said = {"num_frames": 6, **changed}
        settings = Settings("qwen", ARMS, str(folder), None, out=runs, options=options, **said)
        run(settings, ["hlvid-eval"])
    assert len(list(runs.glob("*/run.json"))) == 3 * len(list(other.glob("*/run.json")))
    (choice,) = choose(runs, GAZE, **EXAM)
    assert choice.arm.name == "fewer-and-lower:detail@0.4"
    copies = [path.parent for path in runs.glob("*/run.json")]
    for old in map(read_run, copies):
        if old.record.frames.num_frames == 4:
            frames = old.record.frames.model_copy(update={"num_frames": 6})
            record = old.record.model_copy(update={"frames": frames})
            shutil.rmtree(old.folder)
            new = old.folder.with_name(f"copy-{old.folder.name}")
            write_run(new, record, old.predictions)
    with pytest.raises(UserError, match="holds 2 groups of whole runs"):
        choose(runs, GAZE, **EXAM)


def test_a_candidate_that_could_not_run_is_not_chosen(runs):
    score(runs, fewer_frames=9, fewer_and_lower=3, lower_resolution=5)
    sink(runs, "fewer-frames:detail@0.4")
    (choice,) = choose(runs, GAZE, **EXAM)
    assert choice.arm.name == "lower-resolution:detail@0.4"
    assert "fewer-frames" not in choice.arm.notes[-1]
    sink(runs, "fewer-and-lower:detail@0.4", "lower-resolution:detail@0.4")
    with pytest.raises(UserError, match=r"no candidate for detail@0\.4 could run"):
        choose(runs, GAZE, **EXAM)


def test_a_candidate_that_spent_more_than_gaze_kept_is_refused(runs):
    gaze = records(runs)["detail@0.4"]
    first, *others = gaze.predictions
    fewer = first.tokens.model_copy(update={"visual": first.tokens.visual // 4})
    kept = (first.model_copy(update={"tokens": fewer}), *others)
    record = gaze.record.model_copy(update={"predictions_sha256": predictions_sha256(kept)})
    write_run(gaze.folder, record, kept)
    with pytest.raises(UserError, match=r"spent more tokens than detail@0\.4 kept at 1 of 12"):
        choose(runs, GAZE, **EXAM)


def test_random_values_choose_nothing(runs):
    for name in records(runs):
        model = records(runs)[name].record.model.model_copy(update={"load_format": "dummy"})
        change(runs, name, model=model)
    with pytest.raises(UserError, match="random values"):
        choose(runs, GAZE, **EXAM)
