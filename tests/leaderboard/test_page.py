"""The page: what it shows, that it is well formed, and that nothing can get out of it or in."""

import base64
import dataclasses
import hashlib
import os
import shutil
import subprocess
import sys

import pytest

from hlvid import datasets
from hlvid.types import ArmSettings, TokenCounts
from leaderboard.entries import find_runs, read_entries
from leaderboard.exams import read_exams
from leaderboard.results import SHIPPED, read_results
from leaderboard.wording import percent


def entries_of(folder, exam):
    entries, refusals = read_entries(find_runs([folder]), read_exams([exam]))
    assert not refusals
    return entries


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


def test_every_run_has_a_page_with_its_counts_and_answers(site, wall, lab):
    for entry in entries_of(wall / "runs", wall / "exam"):
        reader = lab.Reader((site / "runs" / f"{entry.run_id}.html").read_text())
        text = " ".join(reader.text["dd"])
        for value in (entry.record.predictions_sha256, str(entry.record.summary.num_correct)):
            assert value in text
        answers = [row for row in reader.rows if row and row[0] in entry.columns.question_ids]
        assert len(answers) == len(entry.columns)
        marked = sum("correct" in row[3] for row in answers)
        assert marked == entry.record.summary.num_correct


def test_compare_page_counts_what_only_one_has_right(site, lab):
    pages = sorted((site / "compare").iterdir())
    assert len(pages) == 2 * (8 + 6)
    for path in pages[:4]:
        reader = lab.Reader(path.read_text())
        square = [row for row in reader.rows if len(row) == 3]
        counts = [
            int("".join(c for c in cell if c.isdigit())) for row in square[1:] for cell in row[1:]
        ]
        assert sum(counts) == 192
        listed = "".join(reader.text["h3"])
        assert f"({counts[1]})" in listed and f"({counts[2]})" in listed


def test_no_table_holds_two_kinds_of_model(page, lab):
    captions = "".join(lab.Reader(page).text["caption"])
    for kind in ("Multimodal models: 13 runs", "Readers: 13 runs", "Language models: 1 run"):
        assert kind in captions


def test_pages_are_well_formed_and_refer_to_the_site_only(site, lab):
    pages = {path.relative_to(site).as_posix(): path for path in site.rglob("*.html")}
    readers = {name: lab.Reader(path.read_text()) for name, path in pages.items()}
    for name, reader in readers.items():
        for link in reader.attributes("href"):
            if link == "data:," or link.startswith("https://"):
                continue
            target, _, anchor = link.partition("#")
            place = os.path.normpath(os.path.join(os.path.dirname(name), target))  # noqa: PTH118, PTH120
            target = place if target else name
            assert target in readers, (name, link)
            assert not anchor or anchor in readers[target].ids, (name, link)
        for names in reader.attributes("aria-labelledby"):
            assert set(names.split()) <= reader.ids, names
        tags = {tag for tag, _ in reader.tags}
        assert tags.isdisjoint(("img", "iframe", "object", "form"))
        assert ("script" in tags) == (name == "index.html")
        names = {name for _, attributes in reader.tags for name in attributes}
        assert names.isdisjoint(("src", "style", "action", "srcset"))
        assert not [name for name in names if name.startswith("on")]
        assert "url(" not in reader.style and "@import" not in reader.style


def test_only_quoted_tables_link_to_elsewhere(site, lab):
    reader = lab.Reader((site / "index.html").read_text())
    away = {link for link in reader.attributes("href") if link.startswith("https://")}
    assert away == {table.url for table in read_results(SHIPPED).quoted}


def test_policy_allows_exactly_the_style_and_the_script_that_are_there(site, lab):
    for path in (site / "index.html", site / "method.html"):
        reader = lab.Reader(path.read_text())
        policy = next(text for text in reader.attributes("content") if "default-src" in text)
        assert policy.startswith("default-src 'none'; ")
        for name, text in (("style", reader.style), ("script", reader.script)):
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert (f"{name}-src 'sha256-{digest}'" in policy) == bool(text)


def test_same_runs_give_the_same_bytes(tmp_path, lab):
    wall, sites = tmp_path / "wall", []
    lab.write_wall(wall, lab.exam(num_videos=3, per_video=2))
    for seed, order in (("1", ["a", "b"]), ("2", ["b", "a"])):
        folders = {"a": wall / "runs", "b": next((wall / "runs").iterdir())}
        command = [sys.executable, "-c", "from leaderboard.cli import main; main()", "build"]
        command += [str(folders[name]) for name in order]
        command += ["--questions", str(wall / "exam"), "--out", str(tmp_path / seed)]
        environment = os.environ | {"PYTHONHASHSEED": seed}
        subprocess.run(command, check=True, env=environment, capture_output=True)
        pages = sorted((tmp_path / seed).rglob("*.html"))
        sites.append({p.relative_to(tmp_path / seed): p.read_bytes() for p in pages})
    assert sites[0] == sites[1]


def test_index_of_fifty_runs_stays_small(page):
    """The wall has 29 runs, as many columns and figures as there are."""
    assert len(page.encode()) / 29 * 50 < 500_000


def test_quoted_numbers_stand_with_their_source_and_without_a_rank(page, lab):
    reader = lab.Reader(page)
    rows = {row[0]: row for row in reader.rows if row}
    assert rows["NVILA-8B-HD-Video with AutoGaze"][-1] == "52.6"
    assert "arXiv 2603.12254" in "".join(reader.text["a"])


def test_withdrawn_run_is_grey_and_unranked_and_compared_with_nothing(tmp_path, lab, run_command):
    exam = lab.exam(num_videos=4, per_video=3)
    datasets.write(tmp_path / "exam", exam)
    off = lab.write(tmp_path / "sent", exam, "ocr", ArmSettings(gaze="off"))
    lab.write(tmp_path / "sent", exam, "ocr", ArmSettings(gaze="on", selector="detail", budget=0.1))
    results = ("--results", tmp_path / "results")
    run_command("add", tmp_path / "sent", "--questions", tmp_path / "exam", *results)
    run_command("withdraw", off.run_id, "--reason", "read the wrong frames", *results)
    site = lab.build_pages(tmp_path, "results", published=tmp_path / "results")
    reader = lab.Reader((site / "index.html").read_text())
    row = next(row for row in reader.rows if "withdrawn: read the wrong frames" in "".join(row))
    assert row[0] == "–"
    assert "withdrawn" in reader.attributes("class")
    assert "read the wrong frames" in "".join(reader.text["li"])
    assert not (site / "compare").exists()


def test_rows_carry_their_adaptation_and_say_what_was_shown(page, lab):
    reader = lab.Reader(page)
    for arm, adaptation in (("detail@0.1", "training-free"), ("off", "–")):
        rows = [row for row in reader.rows if len(row) > 9 and row[1].startswith(arm)]
        assert rows and all(adaptation in row for row in rows)
    assert "6 frames of the video's size" in "".join(reader.text["caption"])


def test_models_of_one_kind_share_a_table_and_are_compared_each_with_its_own_off(
    tmp_path, lab, monkeypatch
):
    other = lab.MODELS["qwen"].model_copy(update={"name": "other", "weights": "more invented"})
    monkeypatch.setitem(lab.MODELS, "other", other)
    exam = lab.exam(num_videos=6, per_video=4)
    datasets.write(tmp_path / "exam", exam)
    arms = [ArmSettings(gaze="off"), ArmSettings(gaze="on", selector="detail", budget=0.1)]
    ids = {
        name: {lab.write(tmp_path / "runs", exam, name, arm).run_id for arm in arms}
        for name in ("qwen", "other")
    }
    site = lab.build_pages(tmp_path)
    reader = lab.Reader((site / "index.html").read_text())
    captions = "".join(reader.text["caption"])
    assert "4 runs of 2 models" in captions
    named = sorted(row[1] for row in reader.rows if len(row) > 12 and row[1][:3] in ("off", "det"))
    assert named == [
        f"{arm}{model}"
        for arm in ("detail@0.1", "off")
        for model in ("other (more invented)", "qwen (invented)")
    ]
    pairs = {frozenset(path.stem.split("-")) for path in (site / "compare").iterdir()}
    assert pairs == {frozenset(pair) for pair in ids.values()}


@pytest.mark.parametrize(("seconds", "is_said"), [(100.0, True), (10.0, False), (0.0, False)])
def test_few_frames_a_second_are_said_to_be_few(tmp_path, lab, seconds, is_said):
    made = lab.exam(num_videos=2, per_video=2)
    videos = {
        key: video.model_copy(update={"duration_seconds": seconds})
        for key, video in made.videos.items()
    }
    lab.write_wall(tmp_path, dataclasses.replace(made, videos=videos), ["qwen"])
    said = "".join(lab.Reader((lab.build_pages(tmp_path) / "index.html").read_text()).text["p"])
    assert ("At 0.06 frames a second" in said) == is_said


def test_a_site_built_anew_keeps_no_page_of_a_run_that_is_gone(tmp_path, lab):
    exam = lab.exam(num_videos=4, per_video=3)
    datasets.write(tmp_path / "exam", exam)
    arms = [ArmSettings(gaze="off"), ArmSettings(gaze="on", selector="detail", budget=0.1)]
    gone, stays = (lab.write(tmp_path / "runs", exam, "ocr", arm) for arm in arms)
    site = lab.build_pages(tmp_path)
    assert (site / "runs" / f"{gone.run_id}.html").exists() and list((site / "compare").iterdir())
    own = site / "runs" / "notes.html"
    own.write_text("of somebody else")
    shutil.rmtree(tmp_path / "runs" / gone.run_id)
    lab.build_pages(tmp_path)
    assert {path.name for path in (site / "runs").iterdir()} == {
        f"{stays.run_id}.html",
        "notes.html",
    }
    assert not list((site / "compare").iterdir())


def test_results_without_runs_still_make_a_page(tmp_path, lab, run_command):
    (tmp_path / "results" / "quoted").mkdir(parents=True)
    code, _, _ = run_command(
        "build", tmp_path / "results", "--results", tmp_path / "results", "--out", tmp_path / "site"
    )
    assert code == 0
    assert "52.6" in (tmp_path / "site" / "index.html").read_text()


def test_named_pair_gets_a_page_and_a_wrong_name_is_refused(run_command, small):
    folder, records = small
    arguments = ("build", folder / "runs", "--questions", folder / "exam", "--out", folder / "site")
    pair = f"{records[0].run_id}:{records[1].run_id}"
    assert run_command(*arguments, "--compare", pair)[0] == 0
    assert (folder / "site" / "compare" / f"{pair.replace(':', '-')}.html").is_file()
    code, _, err = run_command(*arguments, "--compare", f"{records[0].run_id}:{records[0].run_id}")
    assert code == 2
    assert "against itself" in err
    code, _, err = run_command(*arguments, "--compare", "../../etc:passwd")
    assert code == 2
    assert "does not name two runs" in err


def test_named_pair_of_a_group_keeps_its_adjusted_page(tmp_path, lab):
    lab.write_wall(tmp_path, lab.exam(num_videos=6, per_video=4), ["ocr"])
    pages = sorted((lab.build_pages(tmp_path) / "compare").iterdir())
    before = {path.name: path.read_bytes() for path in pages}
    pairs = [path.stem.split("-") for path in pages]
    lab.build_pages(tmp_path, named=[f"{arm}:{other}" for arm, other in pairs])
    assert {path.name: path.read_bytes() for path in pages} == before
    arm, other = pairs[0]
    site = lab.build_pages(tmp_path, named=[f"{other}:{arm}"])
    turned = "".join(lab.Reader((site / "compare" / f"{other}-{arm}.html").read_text()).text["dd"])
    assert "not adjusted" in turned and "Holm" not in turned


def test_text_of_questions_is_printed_only_where_the_licence_allows(tmp_path, lab, run_command):
    exam = lab.exam(num_videos=2, per_video=2)
    for name, licence in (("closed", "unknown"), ("open", "CC-BY-4.0")):
        folder = tmp_path / name
        datasets.write(folder / "exam", dataclasses.replace(exam, license=licence))
        made = lab.write(folder / "runs", exam, "ocr", ArmSettings(gaze="off"))
        page = f"runs/{made.run_id}.html"
        site = lab.build_pages(folder)
        assert ("of street" in (site / page).read_text()) == (name == "open")
        assert "of street" in (lab.build_pages(folder, is_local=True) / page).read_text()


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
    site = lab.build_pages(tmp_path)
    shown = ""
    for path in site.rglob("*.html"):
        text = path.read_text()
        reader = lab.Reader(text)
        scripts = [tag for tag, _ in reader.tags].count("script")
        assert scripts == (path.name == "index.html")
        assert not set("\u202e\u200b\u0000") & set(text)
        assert "\u0301" * 3 not in text
        shown += text
    assert "&lt;script&gt;alert(1)" in shown
    assert "{{7*7}}" in shown
    assert "\\u202e" in shown


@pytest.mark.parametrize("num_videos", [1, 2])
def test_few_videos_are_said_to_be_too_few(tmp_path, lab, num_videos):
    lab.write_wall(tmp_path, lab.exam(num_videos=num_videos))
    text = (lab.build_pages(tmp_path) / "index.html").read_text()
    lab.Reader(text)
    assert f"too few videos ({num_videos})" in text
    assert "loses" not in text


def test_a_benchmark_with_a_marking_of_its_own_has_a_column_for_it(tmp_path, lab, run_command):
    exam = lab.exam(num_videos=3, per_video=8, name="videomme")
    datasets.write(tmp_path / "exam", exam)
    off = ArmSettings(gaze="off")
    answers = [
        answer.model_copy(update={"response": "Best answer: C"})  # its script takes it for a B
        for answer in lab.predictions(exam, lab.MODELS["qwen"], off)
    ]
    lab.write(tmp_path / "runs", exam, "qwen", off, answers=answers)
    out = tmp_path / "site"
    code, _, err = run_command(
        "build", tmp_path / "runs", "--questions", tmp_path / "exam", "--out", out
    )
    assert code == 0, err
    reader = lab.Reader((out / "index.html").read_text())
    letters = [question.answer for question in exam.questions]
    strict, official = (f"{100 * letters.count(letter) / len(letters):.1f}" for letter in "CB")
    assert strict != official
    (row,) = [row for row in reader.rows if "qwen" in "".join(row) and strict in "".join(row)]
    assert official in row
    assert "official" in reader.attributes("data-name")
