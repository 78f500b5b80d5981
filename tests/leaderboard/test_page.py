"""The page: what it shows, that it is well formed, and that nothing can get out of it or in."""

import base64
import hashlib
import os
import subprocess
import sys

import pytest

from hlvid import datasets
from hlvid.types import ArmSettings, TokenCounts
from leaderboard.entries import find_runs, read_entries
from leaderboard.exams import read_exams
from leaderboard.page import make_page, render
from leaderboard.wording import percent


def entries_of(folder, exam):
    entries, refusals = read_entries(find_runs([folder]), read_exams([exam]))
    assert not refusals
    return entries


def page_of(folder, exam):
    return render(make_page(entries_of(folder, exam), []))


def test_every_run_has_a_row_with_its_numbers(page, wall, lab):
    rows = lab.Reader(page).rows
    for entry in entries_of(wall / "runs", wall / "exam"):
        record, summary = entry.record, entry.record.summary
        shown = [
            row
            for row in rows
            if len(row) > 9
            and any(cell.startswith(percent(summary.accuracy)) for cell in row[2:3])
            and row[1].startswith(entry.arm if record.model.kind in ("mllm", "reader") else "")
        ]
        assert shown, entry.arm
        assert any(
            f"{percent(summary.accuracy_low)}–{percent(summary.accuracy_high)}" in row[2]
            for row in shown
        )
        counts = [row for row in rows if len(row) > 3 and row[1] == record.run_id]
        assert counts[0][3] == str(summary.num_correct)


def test_no_table_holds_two_kinds_of_model(page, lab):
    captions = "".join(lab.Reader(page).text["caption"])
    for kind in ("Multimodal models: 13 runs", "Readers: 13 runs", "Language models: 1 run"):
        assert kind in captions


def test_page_is_well_formed_and_refers_to_itself_only(page, lab):
    reader = lab.Reader(page)
    for link in reader.attributes("href"):
        assert link == "data:," or link.removeprefix("#") in reader.ids, link
    for names in reader.attributes("aria-labelledby"):
        assert set(names.split()) <= reader.ids, names
    assert {tag for tag, _ in reader.tags}.isdisjoint(("script", "img", "iframe", "object", "form"))
    names = {name for _, attributes in reader.tags for name in attributes}
    assert names.isdisjoint(("src", "style", "action", "srcset"))
    assert not [name for name in names if name.startswith("on")]
    assert "url(" not in reader.style and "@import" not in reader.style


def test_policy_allows_exactly_the_style_that_is_there(page, lab):
    reader = lab.Reader(page)
    digest = base64.b64encode(hashlib.sha256(reader.style.encode()).digest()).decode()
    policy = next(text for text in reader.attributes("content") if "default-src" in text)
    assert policy.startswith("default-src 'none'; ")
    assert f"style-src 'sha256-{digest}'" in policy


def test_same_runs_give_the_same_bytes(wall, tmp_path):
    pages = []
    for seed, order in (("1", ["a", "b"]), ("2", ["b", "a"])):
        folders = {"a": wall / "runs", "b": next((wall / "runs").iterdir())}
        command = [sys.executable, "-c", "from leaderboard.cli import main; main()", "build"]
        command += [str(folders[name]) for name in order]
        command += ["--questions", str(wall / "exam"), "--out", str(tmp_path / seed)]
        environment = os.environ | {"PYTHONHASHSEED": seed}
        subprocess.run(command, check=True, env=environment, capture_output=True)
        pages.append((tmp_path / seed / "index.html").read_bytes())
    assert pages[0] == pages[1]


HOSTILE = "<script>alert(1)</script>\u202e\u200b\u0000\"'&{{7*7}}" + "\u0301" * 30


def test_hostile_text_is_shown_and_does_nothing(tmp_path, lab):
    exam = lab.exam(num_videos=3, per_video=2)
    datasets.write(tmp_path / "exam", exam)
    model = lab.MODELS["qwen"].model_copy(update={"weights": HOSTILE, "license": HOSTILE})
    made = lab.record(exam, lab.MODELS["qwen"], ArmSettings(gaze="off"), [])
    provenance = made.provenance.model_copy(
        update={
            "command": (HOSTILE,),
            "software": {HOSTILE: HOSTILE},
            "hardware": made.provenance.hardware.model_copy(
                update={"cpu": HOSTILE, "platform": HOSTILE, "memory_bytes": 10**300}
            ),
        }
    )
    for arm in (
        ArmSettings(gaze="off"),
        ArmSettings(gaze="on", selector="a" * 200, budget=1e-300, notes=(HOSTILE,) * 2),
    ):
        answers = [
            answer.model_copy(
                update={
                    "stage_ms": {"end_to_end": 1e300, "decode": 1e300, HOSTILE: 1.0},
                    "peak_memory_bytes": 10**300,
                    "tokens": TokenCounts(
                        selector=0, encoded=0, visual=1, text=0, visual_off=10**300
                    ),
                }
            )
            for answer in lab.predictions(exam, lab.MODELS["qwen"], arm)
        ]
        lab.write(
            tmp_path / "runs",
            exam,
            "qwen",
            arm,
            answers=answers,
            model=model,
            provenance=provenance,
            generation={HOSTILE: HOSTILE},
            seed=10**300,
        )
    text = page_of(tmp_path / "runs", tmp_path / "exam")
    reader = lab.Reader(text)
    assert "script" not in {tag for tag, _ in reader.tags}
    assert "&lt;script&gt;alert(1)" in text
    assert "{{7*7}}" in text
    assert not set("\u202e\u200b\u0000") & set(text)
    assert "\\u202e" in text
    assert "\u0301" * 3 not in text


@pytest.mark.parametrize("num_videos", [1, 2])
def test_few_videos_are_said_to_be_too_few(tmp_path, lab, num_videos):
    lab.write_wall(tmp_path, lab.exam(num_videos=num_videos))
    text = page_of(tmp_path / "runs", tmp_path / "exam")
    lab.Reader(text)
    assert f"too few videos ({num_videos})" in text
    assert "loses" not in text
