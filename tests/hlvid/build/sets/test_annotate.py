"""Task packs: what they hold, what comes back, and what is refused."""

import http.client
import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hlvid.build.annotate import (
    ANSWERS_FILE,
    PACK_FILE,
    PACKS_FOLDER,
    TASKS_FILE,
    Task,
    export,
    export_release,
    import_pack,
)
from hlvid.build.engine import run_stage
from hlvid.build.facts import questions_told
from hlvid.build.lint import LINT
from hlvid.build.marked import evidence_of
from hlvid.build.questions import read
from hlvid.build.task_pack.serve import server
from hlvid.datasets import Benchmark
from hlvid.errors import UserError
from hlvid.files import read_jsonl, write_jsonl
from hlvid.prompt import render
from hlvid.types import Evidence, Marked, Question


def save(folder, records):
    write_jsonl(folder / ANSWERS_FILE, records)


def test_questions_go_out_and_come_back_and_are_settled(desk, draft, reply, tmp_path):
    export(desk.shop.open(), tmp_path / "ann", kind="write", annotator="ann")
    drafts = [draft(0, clip) for clip in desk.clips]
    save(tmp_path / "ann", drafts)
    assert import_pack(desk.shop.open(), tmp_path / "ann") == ("questions", 2)
    run_stage(desk.shop.open(), LINT)
    for name in ("bob", "eve"):
        pack = export(desk.shop.open(), tmp_path / name, kind="answer", annotator=name)
        assert [t.question.question_id for t in pack.tasks] == [d.question_id for d in drafts]
        known = {d.question_id: d for d in drafts}
        save(tmp_path / name, [reply(known[t.question.question_id], name) for t in pack.tasks])
        assert import_pack(desk.shop.open(), tmp_path / name) == ("replies", 2)
    assert {row["state"] for row in questions_told(desk.settle())} == {"settled"}
    with pytest.raises(UserError, match="nothing for bob"):
        export(desk.shop.open(), tmp_path / "again", kind="answer", annotator="bob")
    with pytest.raises(UserError, match="nothing for ann"):
        export(desk.shop.open(), tmp_path / "own", kind="answer", annotator="ann")


def test_a_pack_to_answer_tells_neither_the_answer_nor_the_place(desk, draft, tmp_path):
    drafts = [draft(i, desk.clips[0]) for i in range(30)]
    desk.write(drafts)
    work = desk.shop.open()
    run_stage(work, LINT)
    pack = export(work, tmp_path / "bob", kind="answer", annotator="bob")
    known = {d.question_id: d.choices[0] for d in drafts}
    places = {t.question.choices.index(known[t.question.question_id]) for t in pack.tasks}
    assert places == {0, 1, 2, 3}
    for name in (PACK_FILE, TASKS_FILE):
        text = (tmp_path / "bob" / name).read_text()
        assert "boxes" not in text and "author" not in text
    assert read_jsonl(tmp_path / "bob" / TASKS_FILE, Task) == list(pack.tasks)


def test_a_pack_that_was_killed_half_way_is_made_anew(desk, tmp_path):
    half = tmp_path / ".ann.part" / "videos"
    half.mkdir(parents=True)
    (half / "other.mp4").write_bytes(b"half")
    pack = export(desk.shop.open(), tmp_path / "ann", kind="write", annotator="ann")
    assert {f"videos/{p.name}" for p in (tmp_path / "ann" / "videos").iterdir()} == {
        task.file for task in pack.tasks
    }
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"author": "eve"}, "the pack is ann's"),
        ({"video_id": "file-none.0-9"}, "which is no clip"),
        (
            {"evidence": (Evidence(start_seconds=0, end_seconds=9, boxes=((0, 1, 1, 5, 5),)),)},
            "evidence_outside",
        ),
        ({"evidence": ()}, "no_evidence"),
    ],
)
def test_what_comes_back_wrong_is_refused_whole(desk, draft, tmp_path, changes, said):
    export(desk.shop.open(), tmp_path / "ann", kind="write", annotator="ann")
    good = draft(0, desk.clips[0])
    save(tmp_path / "ann", [good, draft(1, desk.clips[0], **changes)])
    with pytest.raises(UserError, match=said):
        import_pack(desk.shop.open(), tmp_path / "ann")
    assert not (desk.folder / "questions").exists()


def test_an_id_that_another_has_is_refused_and_a_second_import_replaces(desk, draft, tmp_path):
    export(desk.shop.open(), tmp_path / "ann", kind="write", annotator="ann")
    save(tmp_path / "ann", [draft(0, desk.clips[0])])
    desk.write([draft(0, desk.clips[0])], name="other")
    with pytest.raises(UserError, match="in another file already"):
        import_pack(desk.shop.open(), tmp_path / "ann")
    shutil.rmtree(desk.folder)
    for number in (1, 2):
        save(tmp_path / "ann", [draft(i, desk.clips[0]) for i in range(number)])
        assert import_pack(desk.shop.open(), tmp_path / "ann") == ("questions", number)


def test_a_second_pack_of_a_person_adds_to_the_first(desk, draft, reply, tmp_path):
    packs = [
        export(desk.shop.open(), tmp_path / name, kind="write", annotator="ann")
        for name in ("one", "two")
    ]
    drafts = [
        draft(0, desk.clips[0], question_id=f"{desk.clips[0]}-ann-{pack.pack_id}-0", stem=stem)
        for pack, stem in zip(packs, ("What is at the left?", "What is at the right?"), strict=True)
    ]
    for name, each in zip(("one", "two"), drafts, strict=True):
        save(tmp_path / name, [each])
        import_pack(desk.shop.open(), tmp_path / name)
    assert {d.stem for d in read(desk.folder).drafts} == {d.stem for d in drafts}
    # What comes back of the first once more replaces what came of it, and nothing else.
    save(tmp_path / "one", [])
    import_pack(desk.shop.open(), tmp_path / "one")
    assert read(desk.folder).drafts == (drafts[1],)

    import_pack(desk.shop.open(), tmp_path / "two")
    run_stage(desk.shop.open(), LINT)
    for name, number in (("bob1", 1), ("bob2", 2)):
        export(desk.shop.open(), tmp_path / name, kind="answer", annotator="bob")
        asked = drafts[1] if number == 1 else drafts[0]
        save(tmp_path / name, [reply(asked, "bob")])
        import_pack(desk.shop.open(), tmp_path / name)
        assert len(read(desk.folder).replies) == number
        save(tmp_path / "one", [drafts[0]])
        import_pack(desk.shop.open(), tmp_path / "one")
        run_stage(desk.shop.open(), LINT)


def test_a_pack_comes_back_to_where_it_is_from_and_from_whom_it_was_for(desk, draft, tmp_path):
    pack = export(desk.shop.open(), tmp_path / "ann", kind="write", annotator="ann")
    save(tmp_path / "ann", [draft(0, desk.clips[0], author="eve")])
    for changes, said in (
        ({"annotator": "eve"}, "says eve, and was handed out to ann"),
        ({"pack_id": "0badcafe"}, "pack 0badcafe was not handed out from"),
        ({"pack_id": "../../spec"}, "field 'pack_id'"),
    ):
        content = {**pack.model_dump(mode="json"), **changes}
        (tmp_path / "ann" / PACK_FILE).write_text(json.dumps(content))
        with pytest.raises(UserError, match=said):
            import_pack(desk.shop.open(), tmp_path / "ann")
    assert not (desk.folder / "questions").exists()
    (kept,) = (desk.shop.folder / "work" / PACKS_FOLDER).iterdir()
    assert kept.stem == pack.pack_id


def exam(folder, desk):
    work = desk.shop.open()
    from hlvid.build.clip import clips_of

    questions = []
    (folder / "videos").mkdir(parents=True)
    for number, (_, clip) in enumerate(clips_of(work)):
        name = f"clip_av_video_{number}_001.mp4"
        shutil.copyfile(work.store.path(clip.file), folder / "videos" / name)
        questions.append(
            Question(
                question_id=str(number),
                video_id=name,
                category="av",
                text=render("What does it say?", ("a", "b", "c", "d")),
                stem="What does it say?",
                choices=("a", "b", "c", "d"),
                answer="C",
            )
        )
    return Benchmark(name="hlvid", revision="r", questions=tuple(questions), videos={}, root=folder)


def test_evidence_of_a_release_has_ids_spans_boxes_and_agreement_only(desk, tmp_path):
    benchmark = exam(tmp_path / "hlvid", desk)
    for name, choice, box in (("bob", "c", (0.2, 0, 0, 20, 20)), ("eve", "c", (0.2, 0, 0, 20, 10))):
        pack = export_release(benchmark, tmp_path / name, annotator=name)
        lines = []
        for task in pack.tasks:
            seen = {"start_seconds": 0.2, "end_seconds": 1.2, "boxes": [list(box)]}
            lines.append(
                {
                    "question_id": task.question.question_id,
                    "wording_sha256": task.question.wording_sha256,
                    "annotator": name,
                    "choice": choice if task.question.question_id == "0" else "d",
                    "evidence": [seen],
                }
            )
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (tmp_path / name / ANSWERS_FILE).write_text(text)
    found = evidence_of(benchmark.questions, [tmp_path / "bob", tmp_path / "eve"])
    assert [(m.num_annotators, m.num_agreeing) for m in found] == [(2, 2), (2, 0)]
    assert (found[0].span_overlap, found[0].box_overlap) == (1.0, 0.5)
    assert len(found[0].evidence) == 1 and found[1].evidence == ()
    write_jsonl(tmp_path / "evidence" / "hlvid.jsonl", found)
    path = tmp_path / "evidence" / "hlvid.jsonl"
    assert read_jsonl(path, Marked) == found
    assert "say" not in path.read_text()
    withheld = [q.model_copy(update={"answer": None}) for q in benchmark.questions]
    with pytest.raises(UserError, match="question 0: its answer is withheld"):
        evidence_of(withheld, [tmp_path / "bob"])
    beyond = (tmp_path / "bob" / ANSWERS_FILE).read_text().replace("1.2", "900.0")
    (tmp_path / "bob" / ANSWERS_FILE).write_text(beyond)
    with pytest.raises(UserError, match="question 0, reply of bob: evidence_outside"):
        evidence_of(benchmark.questions, [tmp_path / "bob"])


@pytest.fixture
def served(desk, tmp_path):
    export(desk.shop.open(), tmp_path / "ann", kind="write", annotator="ann")
    with server(tmp_path / "ann") as running:
        threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True).start()
        yield running.server_address[1], tmp_path / "ann"
        running.shutdown()


def ask(port, method, path, body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
    answer = connection.getresponse()
    return answer.status, dict(answer.headers), answer.read()


def test_the_server_gives_parts_of_clips_and_nothing_outside(served):
    port, folder = served
    clip = next((folder / "videos").iterdir())
    whole = clip.read_bytes()
    assert ask(port, "GET", f"/videos/{clip.name}")[2] == whole
    status, headers, body = ask(port, "GET", f"/videos/{clip.name}", Range="bytes=10-19")
    assert (status, body) == (206, whole[10:20])
    assert headers["Content-Range"] == f"bytes 10-19/{len(whole)}"
    assert ask(port, "GET", f"/videos/{clip.name}", Range="bytes=999999999-")[0] == 416
    for path in (
        "/../spec.toml",
        "/videos/..%2fpack.json",
        "/serve.py",
        "/videos/../pack.json",
    ):
        assert ask(port, "GET", path)[0] == 404, path
    assert ask(port, "GET", "/")[1]["Content-Security-Policy"].startswith("default-src 'none'")
    assert ask(port, "GET", "/", Host="evil.example")[0] == 403


def test_the_server_keeps_answers_whole_or_not_at_all(served):
    port, folder = served
    good = {"X_Task_Pack": "1"}
    assert ask(port, "PUT", "/answers.jsonl", '{"a":1}\n', **good)[0] == 200
    for body, headers in (
        ("not json\n", good),
        ("[1]\n", good),
        ("{}\n", {}),
        ("{}\n", {**good, "Origin": "http://evil.example"}),
    ):
        assert ask(port, "PUT", "/answers.jsonl", body, **headers)[0] in (400, 403)
    assert ask(port, "PUT", "/pack.json", "{}", **good)[0] == 404
    assert ask(port, "PUT", "/answers.jsonl", "{}", Content_Length="99999999999", **good)[0] == 413
    assert (folder / ANSWERS_FILE).read_text() == '{"a":1}\n'
    assert not list(folder.glob(".*.part"))


def test_the_script_of_a_pack_needs_nothing_of_this_project(desk, tmp_path):
    export(desk.shop.open(), tmp_path / "ann", kind="write", annotator="ann")
    script = tmp_path / "ann" / "serve.py"
    code = f"import runpy; runpy.run_path({str(script)!r}, run_name='x')"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, cwd="/")
    with pytest.raises(UserError, match="is there already"):
        export(desk.shop.open(), Path(tmp_path / "ann"), kind="write", annotator="ann")
