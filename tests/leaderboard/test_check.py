"""Every rule refuses the run that breaks it, with its own reason, and passes the honest one."""

import json
import os
from types import SimpleNamespace

import pytest

from hlvid import datasets
from hlvid.files import json_bytes, write_json
from hlvid.performance import Performance, Timed, read_performance
from hlvid.runs import make_run_id, read_run
from hlvid.types import ArmSettings, FrameSettings, ModelId, RunRecord, TokenCounts
from leaderboard.check import as_lines, check
from leaderboard.divisions import why_open
from leaderboard.entries import RULES, find_runs
from leaderboard.exams import read_exams
from leaderboard.rules import REFUSING

OFF = ArmSettings(gaze="off")
DETAIL = ArmSettings(gaze="on", selector="detail", budget=0.1)
CONTROL = ArmSettings(gaze="on", selector="random-matched:detail", budget=0.1)


@pytest.fixture
def bench(tmp_path, lab):
    """A small exam, and how to write a run on it and how to change one."""
    exam = lab.exam(num_videos=4, per_video=3)
    datasets.write(tmp_path / "exam", exam)

    def write(arm=OFF, name="qwen", change=None, **changes):
        answers = lab.predictions(exam, lab.MODELS[name], arm)
        if change is not None:
            answers = [answer.model_copy(update=change(answer)) for answer in answers]
        made = lab.write(tmp_path / "runs", exam, name, arm, answers=answers, **changes)
        return tmp_path / "runs" / made.run_id

    def findings():
        return check(find_runs([tmp_path / "runs"]), read_exams([tmp_path / "exam"]))[1]

    return SimpleNamespace(exam=exam, folder=tmp_path, lab=lab, write=write, findings=findings)


def rewrite(bench, folder, change_lines=None, change_record=None):
    """Change the predictions as bytes, and make the digests fit."""
    path = folder / "predictions.jsonl"
    if change_lines is not None:
        path.write_bytes(change_lines(path.read_bytes()))
    digest = bench.lab.sha256_file(path)

    def change(record):
        record["predictions_sha256"] = digest
        if change_record:
            change_record(record)

    bench.lab.tamper(folder, change)


def flip_byte(bench):
    path = bench.write() / "predictions.jsonl"
    path.write_bytes(path.read_bytes().replace(b"answer is", b"Answer is", 1))


def leave_one_out(bench):
    rewrite(bench, bench.write(), lambda data: data.split(b"\n", 1)[1])


def answer_twice(bench):
    rewrite(bench, bench.write(), lambda data: data.split(b"\n", 1)[0] + b"\n" + data)


def write_line(line):
    def tamper(bench):
        rewrite(bench, bench.write(), lambda data: line + b"\n" + data)

    return tamper


def duplicate_a_key(bench):
    def change(data):
        return data.replace(b'"arm":"off"', b'"arm":"detail@0.1","arm":"off"', 1)

    rewrite(bench, bench.write(), change)


def replace_value(before, after):
    def tamper(bench):
        rewrite(bench, bench.write(), lambda data: data.replace(before, after, 1))

    return tamper


def link_out(bench):
    folder = bench.write()
    target = bench.folder / "elsewhere.jsonl"
    (folder / "predictions.jsonl").rename(target)
    (folder / "predictions.jsonl").symlink_to(target)


def send_a_pipe(bench):
    folder = bench.write()
    (folder / "predictions.jsonl").unlink()
    os.mkfifo(folder / "predictions.jsonl")


def nest_deep(bench):
    folder = bench.write()
    (folder / "run.json").write_bytes(b'{"arm":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    bench.lab.sign(folder)


def move_outside(bench):
    folder = bench.write()
    bench.lab.tamper(folder, lambda record: record.update(predictions_file="../../x.jsonl"))


def claim_more(bench):
    def change(record):
        summary = record["summary"]
        summary["num_correct"], summary["num_wrong"] = summary["num_wrong"], summary["num_correct"]

    bench.lab.tamper(bench.write(), change)


def claim_another_exam(bench):
    bench.lab.tamper(bench.write(), _rebenched)


def _rebenched(record):
    record["benchmark"]["questions_sha256"] = "a" * 64
    record["benchmark"]["name"] = "elsewhere"
    _renamed(record)


def _renamed(record):
    parsed = RunRecord.model_validate(record)
    names = ("benchmark", "model", "arm", "frames", "generation", "seed", "limit", "repeat")
    record["run_id"] = make_run_id(**{name: getattr(parsed, name) for name in names})


def change(path, value):
    """Set a field of the record, its id made to fit."""

    def tamper(bench):
        def do(record):
            place = record
            for step in path[:-1]:
                place = place[step]
            place[path[-1]] = value
            _renamed(record)

        bench.lab.tamper(bench.write(), do)

    return tamper


def change_all(**fields):
    """Set fields of every prediction of a run of `off`."""
    return lambda bench: bench.write(change=lambda answer: fields)


def slower(bench):
    bench.write(change=lambda a: {"stage_ms": {**a.stage_ms, "read": 2 * a.stage_ms["end_to_end"]}})


def with_a_gap(bench):
    bench.write(
        change=lambda a: {"stage_ms": {**a.stage_ms, "end_to_end": 1.2 * a.stage_ms["end_to_end"]}}
    )


def uncounted(bench):
    bench.write(DETAIL, change=lambda a: {"tokens": None})


def at_slow_ones(**fields):
    """Set fields of the predictions of one video."""
    return lambda b: b.write(change=lambda a: fields if a.question_id.startswith("v00") else {})


def without_ids(bench):
    bench.write(change=lambda answer: {"prompt_ids_sha256": "3" * 64})
    bench.write(DETAIL)


def counts(visual_off, visual=4896):
    return TokenCounts(selector=0, encoded=visual, visual=visual, text=90, visual_off=visual_off)


def count_less_of_off(bench):
    bench.write()
    bench.write(DETAIL, change=lambda answer: {"tokens": counts(5 * 8160)})


def inflate_off(bench):
    bench.write(DETAIL, change=lambda answer: {"tokens": counts(2 * 48960)})


def inflate_off_of_a_typed_canvas(bench):
    frames = FrameSettings(num_frames=6, canvas="1596x896", token_pixels=28, pairing="stock")
    bench.write(DETAIL, frames=frames, change=lambda answer: {"tokens": counts(3 * 1825, 9)})


def unpaired(field):
    def tamper(bench):
        bench.write()
        bench.write(DETAIL, change=lambda answer: {field: "9" * 64})

    return tamper


def two_models(bench):
    bench.write()
    bench.write(DETAIL, model=bench.lab.MODELS["ocr"], group_id=bench.lab.group_of("qwen"))


def overspend(bench):
    bench.write(DETAIL)
    more = TokenCounts(selector=0, encoded=9000, visual=9000, text=90, visual_off=48960)
    bench.write(CONTROL, change=lambda answer: {"tokens": more})


def other_answers(bench):
    bench.write()
    bench.write(repeat=1, change=lambda answer: {"response": "A"})


def remembered(bench):
    bench.write()
    bench.write(
        repeat=1,
        change=lambda a: {"stage_ms": {k: 0.5 * v for k, v in a.stage_ms.items()}},
    )


def timed_again(*, share=1.0, **fields):
    """Write what `hlvid-eval perf` would of a run of `off`: four questions, twice."""

    def tamper(bench):
        folder = bench.write()
        run = read_run(folder)
        timed = tuple(
            Timed.model_validate(
                {
                    "question_id": answer.question_id,
                    "video_id": answer.question_id.partition("-")[0],
                    "arm": "off",
                    "number": number,
                    "response": answer.response,
                    "stage_ms": {"end_to_end": share**number * answer.stage_ms["end_to_end"]},
                    "peak_memory_bytes": None,
                }
                | fields
            )
            for number in (0, 1)
            for answer in run.predictions[:4]
        )
        found = Performance(
            run_ids={"off": run.record.run_id, "detail@0.1": "0" * 16},
            reference="off",
            conditions={},
            num_failed={},
            differing={},
            arms=(),
            timed=(*timed, timed[0].model_copy(update={"arm": "detail@0.1", "response": "?"})),
        )
        write_json(folder.parent / "perf.json", found)

    return tamper


def spoil_times(bench):
    timed_again()(bench)
    path = bench.folder / "runs" / "perf.json"
    path.write_bytes(path.read_bytes().replace(b'"end_to_end": ', b'"end_to_end": -', 1))


def link_times(bench):
    timed_again()(bench)
    (bench.folder / "runs" / "perf.json").rename(bench.folder / "elsewhere.json")
    (bench.folder / "runs" / "perf.json").symlink_to(bench.folder / "elsewhere.json")


TAMPERED = {
    "a byte of the predictions": (flip_byte, "folder", "digest of predictions.jsonl"),
    "a question left out": (leave_one_out, "folder", "num_questions is 12"),
    "a question answered twice": (answer_twice, "folder", "is answered twice"),
    "a key there twice": (duplicate_a_key, "folder", "key 'arm' is there twice"),
    "not a number": (replace_value(b'"decode":', b'"decode":NaN,"x":'), "folder", "NaN"),
    "more than a double": (replace_value(b'"decode":', b'"decode":1e400,"x":'), "folder", "1e400"),
    "less than nothing": (replace_value(b'"decode":', b'"decode":-1,"x":'), "folder", "-1"),
    "an unknown field": (replace_value(b'"arm":', b'"rank":1,"arm":'), "folder", "'rank' is unkn"),
    "a line without end": (write_line(b'{"a":"' + b"x" * 2**23), "folder", "is longer than"),
    "bytes that are no text": (write_line(b"\xff\xfe"), "folder", "is not UTF-8"),
    "a link": (link_out, "folder", "is a link"),
    "a pipe": (send_a_pipe, "folder", "is a folder or a device"),
    "brackets without end": (nest_deep, "folder", "run.json"),
    "an oracle that hides it": (
        lambda b: b.write(ArmSettings(gaze="on", selector="oracle", budget=0.1)),
        "privileged", "oracle is told where the evidence is",
    ),
    "a path outside": (move_outside, "folder", "predictions_file"),
    "another id": (
        lambda b: b.lab.tamper(b.write(), lambda r: r.update(run_id="0" * 16)), "run-id", "0000000"
    ),
    "unknown questions": (claim_another_exam, "benchmark", "elsewhere is not known here"),
    "the name of another exam": (
        change(["benchmark", "name"], "hlvid"), "benchmark", "its questions is 'street-signs'"
    ),
    "another revision": (
        change(["benchmark", "revision"], "2"), "benchmark", "benchmark.revision is '2'"
    ),
    "another score": (claim_more, "marks", "summary.num_correct is"),
    "another prompt": (change_all(prompt_sha256="7" * 64), "prompts", "at 12 of 12 questions"),
    "a status too good": (change(["status"], "partial"), "status", "but 0 of 12 questions failed"),
    "failures called complete": (
        at_slow_ones(response=None, error="killed", status="failed"), "status", "but 3 of 12"
    ),
    "weights without a name": (change(["model", "weights"], None), "settings", "not named"),
    "a decoding not told": (
        lambda b: b.write(generation={"do_sample": False}), "settings", "max_new_tokens is missing"
    ),
    "a machine without a name": (
        change(["provenance", "hardware", "cpu"], "unknown"), "hardware", "cpu is 'unknown'"
    ),
    "more memory than there is": (
        change_all(peak_memory_bytes=2**50), "hardware", "more than the machine has"
    ),
    "a decoder without a version": (
        change(["provenance", "software"], {"hlvid": "1", "python": "3"}), "hardware", "libavcodec"
    ),
    "text that runs backwards": (change(["model", "weights"], "a\u202eb"), "text", "\\u202e"),
    "text of no width": (change(["provenance", "command"], ["a\u200b"]), "text", "\\u200b"),
    "tokens not counted": (uncounted, "tokens", "tokens are not counted at"),
    "more tokens than there are": (change_all(tokens=counts(8160, 8161)), "tokens", "is more than"),
    "less tokens of off than off has": (
        count_less_of_off, "pairing", "tokens.visual_off is not that of off"
    ),
    "more tokens of off than frames have": (inflate_off, "grids", "is not that of frames, canvas"),
    "tokens that no frame has": (
        inflate_off_of_a_typed_canvas, "grids", "at 12 of 12 questions, first v00-q0"
    ),
    "stages beyond the total": (slower, "timings", "stages add up to more"),
    "time in no stage": (with_a_gap, "timings", "17% of end_to_end is in no stage"),
    "no time at all": (change_all(stage_ms={"end_to_end": 0.0}), "timings", "end_to_end is 0"),
    "slow questions without stages": (
        at_slow_ones(stage_ms={"end_to_end": 9e9}), "timings", "no stages at 3 of 12 questions"
    ),
    "no stages at all": (change_all(stage_ms={"end_to_end": 9.0}), "timings", "no stages at 12"),
    "frames without a digest": (change_all(frames_sha256=None), "digests", "frames_sha256 is miss"),
    "a canvas without one": (change_all(canvas_sha256=None), "digests", "canvas_sha256 is miss"),
    "an arm without its ids": (without_ids, "pairing", "digest of the ids"),
    "other frames": (unpaired("frames_sha256"), "pairing", "frames digest of question"),
    "another canvas": (unpaired("canvas_sha256"), "pairing", "canvas digest of question"),
    "two models in a group": (two_models, "pairing", "holds two models"),
    "a control that spends more": (overspend, "controls", "spends 9000 visual tokens"),
    "a plan that is not there": (
        change(["plan_sha256"], "8" * 64), "plan", "no plan.json of that digest"
    ),
    "other replies when timed": (
        timed_again(response="The answer is D!"), "performance", "at 4 of 4 questions, first v00-q0"
    ),
    "a question remembered when timed": (
        timed_again(share=0.5), "performance", "takes 50% of its first time"
    ),
    "a question timed that was not asked": (
        timed_again(question_id="v99-q0"), "performance", "at 1 of 1 questions, first v99-q0"
    ),
    "times less than nothing": (spoil_times, "performance", "perf.json: "),
    "times elsewhere": (link_times, "performance", "perf.json: is a link"),
    "other answers when repeated": (other_answers, "repeats", "answers differ from those"),
    "a question remembered": (remembered, "caching", "takes 50% of its first time"),
}  # fmt: skip


def test_honest_runs_pass(bench):
    for arm in (OFF, DETAIL, CONTROL):
        bench.write(arm, adaptation="training-free" if arm.selector else "none")
    bench.write(repeat=1)
    assert bench.findings() == []


@pytest.mark.parametrize(
    ("frames", "visual_off"),
    [
        # 2160 / 32 is rounded to 68 rows, 2160 / 28 to 77; 3840 / 28 to 137 columns.
        (FrameSettings(num_frames=6, canvas="native", pairing="stock"), 3 * 68 * 120),
        (
            FrameSettings(
                num_frames=7, canvas="native", token_pixels=28, pairing="stock", context=7
            ),
            4 * (77 * 137 + 11 * 20),
        ),
        # A video with fewer frames than were asked for.
        (FrameSettings(num_frames=6, pairing="repeat"), 5 * 8160),
        (FrameSettings(num_frames=6, canvas="1000x500"), 6 * 16 * 31),  # rounded, or
        (FrameSettings(num_frames=6, canvas="1000x500"), 6 * 16 * 32),  # covered
        (FrameSettings(num_frames=6, canvas="896p", token_pixels=28, pairing="stock"), 3 * 57 * 32),
        (FrameSettings(num_frames=6, canvas="own"), 12345),  # of the model's own making
    ],
)
def test_tokens_of_off_are_counted_again_from_the_canvas(bench, frames, visual_off):
    told = {"tokens": counts(visual_off, min(visual_off, 99))}
    bench.write(DETAIL, frames=frames, adaptation="training-free", change=lambda answer: told)
    assert bench.findings() == []


def test_a_run_that_went_on_elsewhere_breaks_no_rule(bench):
    at_slow_ones(stage_ms={}, peak_memory_bytes=None)(bench)
    assert bench.findings() == []


def test_honest_times_pass_and_are_published_with_their_run(bench, run_command):
    timed_again(share=0.95)(bench)
    bench.write(DETAIL)
    assert bench.findings() == []
    exam, results = bench.folder / "exam", bench.folder / "results"
    code, _, err = run_command(
        "add", bench.folder / "runs", "--questions", exam, "--results", results
    )
    assert code == 0, err
    (path,) = results.rglob("perf.json")
    found = read_performance(path.parent)
    assert {one.arm for one in found.timed} == {"off"}
    assert set(found.run_ids.values()) == {path.parent.name.partition("-")[0]}


def test_time_to_the_first_token_is_no_stage(bench):
    def told(answer):
        return {"stage_ms": {**answer.stage_ms, "first_token": answer.stage_ms["end_to_end"]}}

    bench.write(change=told)
    assert bench.findings() == []


@pytest.mark.parametrize("what", TAMPERED)
def test_tampered_run_is_refused_with_its_own_reason(bench, what):
    tamper, rule, reason = TAMPERED[what]
    tamper(bench)
    findings = bench.findings()
    assert [f.problem.rule for f in findings] == [rule], as_lines(findings)
    assert reason in findings[0].problem.message
    assert str(bench.folder) not in findings[0].problem.message


def test_every_rule_has_a_tampered_run():
    rules = {name for name, _ in RULES} | set(REFUSING)
    rules |= {"pairing", "controls", "plan", "performance", "repeats", "caching"}
    assert rules - {"division"} == {rule for _, rule, _ in TAMPERED.values()}


def test_closed_division_wants_a_clean_commit(tmp_path, lab):
    exam = lab.exam(num_videos=4, per_video=3, name="hlvid-synthetic")
    datasets.write(tmp_path / "exam", exam)
    made = lab.write(tmp_path / "runs", exam, "qwen", OFF)
    dirty = made.provenance.model_copy(update={"git_dirty": True})
    lab.write(tmp_path / "runs", exam, "qwen", OFF, provenance=dirty)
    _, (finding,) = check([tmp_path / "runs" / made.run_id], read_exams([tmp_path / "exam"]))
    assert finding.problem.rule == "division"
    assert "git_dirty is true" in finding.problem.message


def test_the_whole_canvas_of_an_mllm_is_closed_and_beams_are_not(tmp_path, lab):
    exam = lab.exam(num_videos=4, per_video=3, name="hlvid-synthetic")
    made = lab.write(tmp_path / "runs", exam, "qwen", OFF)
    native = made.frames.model_copy(update={"canvas": "native", "num_frames": 6})
    record = made.model_copy(update={"frames": native})
    assert why_open(record) == ()
    smaller = record.model_copy(update={"frames": native.model_copy(update={"canvas": "896p"})})
    assert why_open(smaller) == ("canvas 896p, not source",)
    searched = {**record.generation, "num_beams": 5}
    assert "beams" in why_open(record.model_copy(update={"generation": searched}))[0]


def test_a_model_that_other_code_loads_needs_no_digest_of_ours(bench):
    """As `--model lmms-eval` writes it: it cannot know tokens, weights or their digest."""
    model = {"name": "lmms-eval", "weights": "openai:x", "load_format": "own"}
    bench.write(
        model=ModelId(kind="mllm", **model),
        change=lambda answer: {"tokens": None},
    )
    assert bench.findings() == []


def test_identical_problems_stand_once_with_all_their_runs(bench):
    for budget in (0.1, 0.2, 0.3):
        arm = DETAIL.model_copy(update={"budget": budget})
        bench.write(arm, adaptation="none")
    (finding,) = bench.findings()
    assert finding.problem.rule == "settings"
    assert len(finding.runs) == 3
    assert len(as_lines([finding])) == 1


def test_command_exits_with_one_and_prints_json(run_command, small, lab):
    folder, records = small
    code, out, err = run_command("check", folder / "runs", "--questions", folder / "exam")
    assert (code, out) == (0, "")
    assert "2 of 2 runs pass" in err
    lab.tamper(folder / "runs" / records[0].run_id, lambda record: record.update(status="partial"))
    code, out, _ = run_command("check", folder / "runs", "--questions", folder / "exam", "--json")
    told = json.loads(out)
    assert code == 1
    assert (told["num_runs"], told["num_passed"]) == (2, 1)
    (problem,) = told["problems"]
    assert (problem["rule"], problem["runs"]) == ("status", [records[0].run_id])
    assert run_command("check", folder / "nowhere")[0] == 2


def test_fields_of_a_later_version_do_not_change_an_id(bench):
    folder = bench.write()
    content = json.loads((folder / "run.json").read_text())
    del content["model"]["license"]
    _renamed(content)
    (folder / "run.json").write_bytes(json_bytes(content))
    bench.lab.sign(folder)
    assert bench.findings() == []
