"""The published results: nothing gets in unchecked, nothing gets out, every change is logged."""

import json
import shutil

import pytest

from hlvid import datasets, runs
from hlvid.files import read_json, read_jsonl
from leaderboard.entries import find_runs, read_entries
from leaderboard.exams import read_exams
from leaderboard.results import (
    SHIPPED,
    Change,
    QuotedTable,
    Reproduction,
    ResultEntry,
    read_results,
    standings,
)


@pytest.fixture
def published(run_command, small):
    """Two published runs: (folder, their records)."""
    folder, records = small
    code, out, _ = run_command(
        "add", folder / "runs", "--questions", folder / "exam",
        "--results", folder / "results", "--date", "2026-11-23",
    )  # fmt: skip
    assert code == 0
    assert len(out.splitlines()) == 2
    return folder, records


def log_of(folder):
    lines = read_jsonl(folder / "results" / "log.jsonl", Change)
    return [(line.change, line.run_id, line.reason) for line in lines]


def entries_of(folder):
    results = read_results(folder / "results")
    found, refusals = read_entries(
        find_runs([folder / "results" / "runs"]),
        read_exams([folder / "exam"]),
        standings=standings(results),
    )
    assert not refusals
    return {entry.slug: entry for entry in found}


def test_added_runs_are_entries_files_and_lines_of_the_log(published):
    folder, records = published
    assert sorted(log_of(folder)) == sorted(("added", r.run_id, None) for r in records)
    for record in records:
        name = f"{record.run_id}-{record.predictions_sha256[:12]}"
        entry = read_json(folder / "results" / "entries" / f"{name}.json", ResultEntry)
        assert entry.predictions_sha256 == record.predictions_sha256
        assert runs.read_run(folder / "results" / "runs" / name).record == record
    assert {entry.badge for entry in entries_of(folder).values()} == {"logs-checked"}


def test_files_beside_a_run_are_not_copied(run_command, small):
    folder, records = small
    (folder / "runs" / records[0].run_id / "evil.html").write_text("<script>")
    run_command(
        "add", folder / "runs", "--questions", folder / "exam", "--results", folder / "results"
    )
    assert not list((folder / "results").rglob("*.html"))


def test_run_that_breaks_a_rule_is_not_added_unless_as_self_reported(run_command, small, lab):
    folder, records = small
    lab.tamper(folder / "runs" / records[0].run_id, lambda record: record.update(status="partial"))
    arguments = ("add", folder / "runs", "--questions", folder / "exam")
    arguments += ("--results", folder / "results")
    code, _, err = run_command(*arguments)
    assert code == 1
    assert "status: run.json: status is 'partial'" in err
    assert not (folder / "results").exists()
    assert run_command(*arguments, "--self-reported")[0] == 0
    assert entries_of(folder)[records[0].run_id].badge == "self-reported"


def test_published_results_pass_with_what_they_say_of_themselves(run_command, small, lab):
    folder, records = small
    results = ("--results", folder / "results", "--questions", folder / "exam")
    off, detail = (folder / "runs" / record.run_id for record in records)
    lab.tamper(off, lambda record: record.update(status="partial"))
    assert run_command("add", off, detail, *results, "--self-reported")[0] == 0
    run_command("withdraw", records[1].run_id, "--reason", "wrong frames", *results[:2])
    exam = datasets.read(folder / "exam", root=None)
    answers = lab.predictions(exam, lab.MODELS["ocr"], records[1].arm)
    answers[0] = answers[0].model_copy(update={"response": "Cannot determine."})
    lab.write(folder / "again", exam, "ocr", records[1].arm, answers=answers)
    assert run_command("add", folder / "again", *results)[0] == 0
    check = ("check", folder / "results", *results)
    code, out, err = run_command(*check)
    assert (code, out) == (0, ""), err
    assert "3 of 3 runs pass" in err
    (path,) = (folder / "results" / "runs").glob(f"{records[0].run_id}-*")
    lab.tamper(path, lambda record: record["summary"].update(accuracy=0.125))
    code, out, _ = run_command(*check)
    assert code == 1 and out.startswith("marks: ")


def test_what_a_folder_says_of_its_own_runs_counts_only_where_it_is_named(run_command, small, lab):
    folder, records = small
    results = ("--results", folder / "results", "--questions", folder / "exam")
    sent = folder / "runs" / records[0].run_id
    lab.tamper(sent, lambda record: record.update(status="partial"))
    assert run_command("add", sent, *results, "--self-reported")[0] == 0
    trusted = run_command("check", folder / "results", *results)
    assert trusted[0] == 0 and "of its own" not in trusted[2]
    code, out, err = run_command("check", folder / "results", *results[2:])
    assert code == 1 and out.startswith("status: ")
    assert "which count with --results" in err


def test_unverifiable_run_is_never_added(run_command, small, lab):
    folder, records = small
    lab.tamper(
        folder / "runs" / records[0].run_id, lambda record: record["summary"].update(accuracy=0.125)
    )
    code, _, err = run_command(
        "add", folder / "runs", "--questions", folder / "exam",
        "--results", folder / "results", "--self-reported",
    )  # fmt: skip
    assert code == 1
    assert "summary.accuracy is 0.125" in err


def test_withdrawn_run_keeps_its_row_without_a_rank(run_command, published):
    folder, records = published
    arguments = ("withdraw", records[0].run_id, "--results", folder / "results")
    assert run_command(*arguments, "--reason", "frames were read twice")[0] == 0
    assert log_of(folder)[-1] == ("withdrawn", records[0].run_id, "frames were read twice")
    found = entries_of(folder)
    slug = f"{records[0].run_id}-{records[0].predictions_sha256[:12]}"
    assert found[slug].unranked_because[0] == "withdrawn: frames were read twice"
    code, _, err = run_command(*arguments, "--reason", "again")
    assert code == 2
    assert "no entry" in err


def test_a_better_run_may_take_the_place_of_a_withdrawn_one(run_command, published, lab):
    folder, records = published
    again = ("add", folder / "second", "--questions", folder / "exam")
    again += ("--results", folder / "results")
    exam = lab.exam(num_videos=4, per_video=3)
    answers = [
        answer.model_copy(update={"peak_memory_bytes": 1 + answer.peak_memory_bytes})
        for answer in lab.predictions(exam, lab.MODELS["ocr"], records[0].arm)
    ]
    lab.write(folder / "second", exam, "ocr", records[0].arm, answers=answers)
    code, _, err = run_command(*again)
    assert code == 1
    assert "is published already" in err
    run_command(
        "withdraw", records[0].run_id, "--results", folder / "results", "--reason", "mended"
    )
    assert run_command(*again)[0] == 0
    found = entries_of(folder)
    assert len(found) == 3
    assert records[0].run_id in found
    code, _, err = run_command(
        "export", folder / "results", "--questions", folder / "exam", "--out", folder / "out.json",
        "--format", "json", "--results", folder / "results",
    )  # fmt: skip
    assert code == 0, err
    rows = json.loads((folder / "out.json").read_text())
    of_one = {r["predictions_sha256"]: r for r in rows if r["run_id"] == records[0].run_id}
    assert len(rows) == 3 and len(of_one) == 2
    gone = of_one.pop(records[0].predictions_sha256)
    assert gone["unranked_because"] == "withdrawn: mended"
    assert [row["unranked_because"] for row in of_one.values()] == [""]
    run_command(
        "export", folder / "results", "--questions", folder / "exam", "--out", folder / "eee",
        "--format", "eee",
    )  # fmt: skip
    assert len(list((folder / "eee").rglob("*.json"))) == 2


def test_what_was_withdrawn_does_not_come_back(run_command, published):
    folder, records = published
    for record in records:
        run_command("withdraw", record.run_id, "--results", folder / "results", "--reason", "wrong")
    before = log_of(folder)
    code, _, err = run_command(
        "add", folder / "runs", "--questions", folder / "exam", "--results", folder / "results"
    )
    assert code == 1
    assert "was withdrawn does not come back" in err
    assert log_of(folder) == before


def test_adding_goes_on_where_it_was_killed(run_command, small):
    """With a run's folder half there, then with its line in the log and no entry."""
    folder, records = small
    results = folder / "results"
    arguments = ("add", folder / "runs", "--questions", folder / "exam", "--results", results)
    names = [f"{r.run_id}-{r.predictions_sha256[:12]}" for r in records]
    (results / "runs" / names[0]).mkdir(parents=True)
    assert run_command(*arguments, "--date", "2026-11-23")[0] == 0
    whole = {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}
    assert len(log_of(folder)) == 2
    (results / "entries" / f"{names[1]}.json").unlink()
    live = next(r for r in records if names[0].startswith(r.run_id))
    shutil.rmtree(folder / "runs" / live.run_id)
    assert run_command(*arguments, "--date", "2026-11-24")[0] == 0
    assert {path: path.read_bytes() for path in results.rglob("*") if path.is_file()} == whole


def test_a_run_and_its_copy_are_not_added_together(run_command, small):
    folder, records = small
    shutil.copytree(folder / "runs" / records[0].run_id, folder / "runs" / "copy")
    code, _, err = run_command(
        "add", folder / "runs", "--questions", folder / "exam", "--results", folder / "results"
    )
    assert code == 1
    assert f"run_id {records[0].run_id}: is given twice" in err
    assert not (folder / "results").exists()


def test_second_run_that_agrees_makes_it_reproduced(run_command, published, lab):
    folder, records = published
    exam = lab.exam(num_videos=4, per_video=3)
    arguments = ("--questions", folder / "exam", "--results", folder / "results")
    code, _, err = run_command("reproduce", folder / "runs" / records[0].run_id, *arguments)
    assert code == 1
    assert "is the published run itself" in err

    def second(name, change):
        answers = lab.predictions(exam, lab.MODELS["ocr"], records[0].arm)
        changed = [answer.model_copy(update=change) for answer in answers]
        lab.write(folder / name, exam, "ocr", records[0].arm, answers=changed)
        return folder / name / records[0].run_id

    code, _, err = run_command("reproduce", second("other", {"response": "A"}), *arguments)
    assert code == 1
    assert "answers agree" in err
    code, out, _ = run_command("reproduce", second("same", {"peak_memory_bytes": 1}), *arguments)
    assert (code, out.strip()) == (0, "12 of 12 answers agree")
    assert entries_of(folder)[records[0].run_id].badge == "reproduced"
    check = ("check", folder / "results", *arguments)
    assert run_command(*check)[0] == 0
    (kept,) = (folder / "results" / "second").iterdir()
    shutil.move(kept, folder / "away")
    assert run_command(*check)[0] == 1
    shutil.copytree(folder / "results" / "runs" / kept.name, kept)
    code, _, err = run_command(*check)
    assert code == 1 and "is another run than its entry says" in err
    shutil.rmtree(kept)
    shutil.copytree(folder / "away", kept)
    entry = folder / "results" / "entries" / f"{kept.name}.json"
    told = json.loads(entry.read_text())
    told["reproduction"] |= {"num_agreeing": 100, "num_questions": 100}
    entry.write_text(json.dumps(told))
    code, _, err = run_command(*check)
    assert code == 1 and "says that 100 answers agree with the second run; 12 do" in err


def test_second_run_that_breaks_a_rule_reproduces_nothing(run_command, published, lab):
    folder, records = published
    exam = lab.exam(num_videos=4, per_video=3)
    answers = [
        answer.model_copy(update={"peak_memory_bytes": 2**60})
        for answer in lab.predictions(exam, lab.MODELS["ocr"], records[0].arm)
    ]
    lab.write(folder / "second", exam, "ocr", records[0].arm, answers=answers)
    code, _, err = run_command(
        "reproduce", folder / "second" / records[0].run_id, "--questions", folder / "exam",
        "--results", folder / "results",
    )  # fmt: skip
    assert code == 1
    assert "breaks a rule itself" in err and "peak_memory_bytes" in err


@pytest.mark.parametrize("num_agreeing", [1, 98, 101])
def test_an_entry_cannot_claim_agreement_that_there_is_not(num_agreeing):
    told = {"predictions_sha256": "a" * 64, "num_questions": 100}
    Reproduction.model_validate(told | {"num_agreeing": 99})
    with pytest.raises(ValueError, match="num_agreeing"):
        Reproduction.model_validate(told | {"num_agreeing": num_agreeing})


def test_quoted_tables_have_a_source_and_as_many_cells_as_columns():
    quoted = read_results(SHIPPED).quoted
    assert {table.badge for table in quoted} == {"paper", "third party"}
    for table in quoted:
        assert isinstance(table, QuotedTable)
        assert table.source
        assert table.url.startswith("https://")
        for row in table.rows:
            assert len(row.cells) == len(table.columns), row.name


def test_published_files_are_what_their_types_say():
    for path in (SHIPPED / "quoted").glob("*.json"):
        content = json.loads(path.read_text())
        written = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False)
        assert path.read_text() == f"{written}\n"
