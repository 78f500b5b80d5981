"""A stock lmms-eval run becomes a run folder that reading accepts, or is refused with a reason."""

import json

import pytest

from hlvid import datasets
from hlvid.errors import UserError
from hlvid.runs import grade_run, read_run
from leaderboard.lmms import parse_machine

MACHINE = ("--machine", "cpu=Some CPU,cores=8,memory_gib=64,gpu=Some GPU")


@pytest.fixture
def left(tmp_path, lab):
    """What lmms-eval left: (folder with exam/, results.json, samples.jsonl), the exam."""
    exam = lab.exam(num_videos=3, per_video=2)
    datasets.write(tmp_path / "exam", exam)
    results = {
        "results": {"street-signs": {"accuracy,none": 50.0}},
        "configs": {"street-signs": {"generation_kwargs": {"max_new_tokens": 16, "until": ["x"]}}},
        "config": {
            "model": "qwen2_5_vl",
            "model_args": "pretrained=Qwen/Qwen2.5-VL-7B-Instruct,max_num_frames=64",
            "batch_size": "1",
        },
        "lmms_eval_version": "0.7.3",
    }
    (tmp_path / "results.json").write_text(json.dumps(results))
    samples = [
        {
            "doc_id": place,
            "target": question.answer,
            "filtered_resps": [question.answer if place % 2 else "I cannot tell."],
            "doc_hash": "0",
            "input": f"<image>\n{question.text}",
            "accuracy": {"score": 1.0},
        }
        for place, question in enumerate(exam.questions)
    ]
    write_samples(tmp_path, samples[::-1])
    return tmp_path, exam, samples


def write_samples(folder, samples):
    lines = "".join(json.dumps(sample) + "\n" for sample in samples)
    (folder / "samples.jsonl").write_text(lines)


@pytest.fixture
def bring(run_command, left):
    folder, _, _ = left

    def run():
        return run_command(
            "import", folder / "results.json", folder / "samples.jsonl", "--out", folder / "runs",
            "--benchmark", folder / "exam", "--frames", 64, *MACHINE,
        )  # fmt: skip

    return run


def test_imported_run_is_marked_by_us_and_shown_as_self_reported(bring, left, run_command):
    folder, exam, _ = left
    code, out, err = bring()
    assert code == 0, err
    (run,) = (folder / "runs").iterdir()
    assert out.strip() == str(run)
    graded = grade_run(read_run(run), exam.questions)
    assert (graded.record.summary.num_correct, graded.record.summary.num_unparsed) == (3, 3)
    assert graded.record.model.weights == "Qwen/Qwen2.5-VL-7B-Instruct"
    assert dict(graded.record.generation) == {"max_new_tokens": 16, "batch_size": 1}
    code, out, _ = run_command(
        "build", folder / "runs", "--questions", folder / "exam", "--out", folder / "site"
    )
    assert code == 0
    assert "self-reported" in (folder / "site" / "index.html").read_text()


def change_input(samples):
    samples[2]["input"] = "What is this?"


def leave_one_out(samples):
    samples.pop()


def give_one_twice(samples):
    samples.append(samples[0])


def give_two_replies(samples):
    samples[1]["filtered_resps"] = ["A", "B"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (change_input, "doc_id 2: its input 'What is this?' does not hold"),
        (leave_one_out, "has 5 of 6 questions"),
        (give_one_twice, "doc_id 0 is there twice"),
        (give_two_replies, "Allowed is one text"),
    ],
)
def test_samples_that_do_not_fit_are_refused(bring, left, change, reason):
    folder, _, samples = left
    change(samples)
    write_samples(folder, samples)
    code, _, err = bring()
    assert code == 2
    assert reason in err
    assert not (folder / "runs").exists()


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '{"results": 1, "config": 2}'])
def test_results_that_are_none_are_refused_in_a_sentence(bring, left, text):
    folder, _, _ = left
    (folder / "results.json").write_text(text)
    code, _, err = bring()
    assert code == 2
    assert err.startswith("error: ")


@pytest.mark.parametrize("text", ["", "cpu=x", "cpu=x,cores=0,memory_gib=1", "cpu=x,cores=a,b=1"])
def test_a_machine_is_named_whole(text):
    with pytest.raises(UserError, match="Allowed is cpu=NAME"):
        parse_machine(text)


def test_a_machine_may_have_several_gpus():
    assert parse_machine("cpu=x,cores=2,memory_gib=0.5,gpu=a,gpu=b").gpus == ("a", "b")
