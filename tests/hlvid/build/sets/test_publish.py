"""Publishing, rehearsed with the real client against a hub on the loopback address."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hlvid.build.lock import LOCK_FILE
from hlvid.build.rows import default_parquet, default_row, question_of

REPO = "me/exam"


@pytest.fixture
def packaged(desk, tmp_path):
    from hlvid.build.package import package
    from hlvid.build.split import split

    work, _ = desk.settled(num_each=1)
    split(work)
    package(work, tmp_path / "out")
    return tmp_path / "out"


def publish(hub, folder, *words):
    script = Path(sys.executable).parent / "hlvid-build"
    return subprocess.run(
        [script, "publish", folder, "--repo", REPO, *words],
        env={**os.environ, **hub.environment(), "HF_TOKEN": "hf_secret"},
        capture_output=True,
        text=True,
    )


def test_a_dry_run_says_every_operation_and_does_none(writable_hub, packaged):
    done = publish(writable_hub, packaged, "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    by_path = {each["path"]: each["action"] for each in told["operations"]}
    assert by_path["old.txt"] == "delete"
    assert by_path["README.md"] == "replace"
    assert by_path["manifest.json"] == "add"
    assert ".gitattributes" not in by_path
    assert not [r for r in writable_hub.requests if r.startswith(("POST", "PUT"))]


def test_a_package_is_sent_read_again_and_tagged(writable_hub, packaged):
    done = publish(writable_hub, packaged)
    assert done.returncode == 0, done.stderr
    tagged = writable_hub.find(REPO, "1.0.0").files
    here = {p.relative_to(packaged).as_posix(): p for p in packaged.rglob("*") if p.is_file()}
    assert set(tagged) == {*here, ".gitattributes"}
    assert all(tagged[name] == path.read_bytes() for name, path in here.items())
    assert set(writable_hub.find(REPO, "main").files) == {".gitattributes", "old.txt", "README.md"}
    assert "hf_secret" not in done.stdout + done.stderr
    again = publish(writable_hub, packaged)
    assert again.returncode == 1
    assert "has a tag: it is published for ever" in again.stderr


def test_what_arrives_otherwise_is_not_tagged(writable_hub, packaged):
    writable_hub.spoils = "facts.json"
    done = publish(writable_hub, packaged)
    assert done.returncode == 1
    assert "facts.json" in done.stderr
    assert "Nothing was tagged" in done.stderr
    assert writable_hub.tags[REPO] == {}
    writable_hub.spoils = None
    assert publish(writable_hub, packaged).returncode == 0


def test_a_refusal_is_a_sentence_and_goes_on_later(writable_hub, packaged):
    writable_hub.refuses = ("/commit/",)
    done = publish(writable_hub, packaged)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: hub: it refuses (403)")
    writable_hub.refuses = ()
    assert publish(writable_hub, packaged).returncode == 0


def test_what_was_cut_off_between_commit_and_tag_is_tagged_later(writable_hub, packaged):
    writable_hub.refuses = ("/tag/",)
    assert publish(writable_hub, packaged).returncode == 1
    sent = dict(writable_hub.branches[REPO])
    assert set(sent) - {"main"} and writable_hub.tags[REPO] == {}
    writable_hub.refuses = ()
    done = publish(writable_hub, packaged)
    assert done.returncode == 0, done.stderr
    assert writable_hub.branches[REPO] == sent  # nothing was sent twice
    manifest = (packaged / "manifest.json").read_bytes()
    assert writable_hub.find(REPO, "1.0.0").files["manifest.json"] == manifest


def test_a_damaged_package_and_a_lock_that_moved_are_not_sent(writable_hub, packaged):
    hub = writable_hub
    hub.add(REPO, {LOCK_FILE: b'{"other": 1}\n'})
    done = publish(hub, packaged, "--dry-run")
    assert done.returncode == 1
    assert "published lines moved" in done.stderr
    hub.add(REPO, {})
    (packaged / "facts.json").write_text("{}")
    done = publish(hub, packaged)
    assert done.returncode == 1
    assert "facts.json" in done.stderr
    assert hub.branches[REPO] == {"main": "0" * 40}


def test_the_main_branch_is_never_written_and_no_hub_is_a_sentence(writable_hub, packaged):
    done = publish(writable_hub, packaged, "--branch", "main")
    assert (done.returncode, "main is not written" in done.stderr) == (2, True)
    environment = {**os.environ, **writable_hub.environment(), "HF_ENDPOINT": "http://127.0.0.1:9"}
    script = Path(sys.executable).parent / "hlvid-build"
    done = subprocess.run(
        [script, "publish", packaged, "--repo", REPO, "--dry-run"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: hub: it cannot be reached")


# --- the release ---------------------------------------------------------------------------------


def release(folder, num=24, **changes):
    """An invented release in the released layout, its rows in no order of their ids."""
    rows = []
    for i in range(num):
        letters = "ABCD"
        right = letters[(i * 7) % 4]
        options = "\n".join(f"{letter}. sign {i} {letter.lower()}x" for letter in letters)
        text = f"What does the white sign on house {i} say?\n{options}\nPlease answer directly."
        rows.append(
            {
                "question_id": (i * 5) % num,
                "category": "av" if i % 2 else "household",
                "video_path": f"clip_av_video_{i // 4}_00{i % 4}.mp4",
                "question": text,
                "answer": right,
            }
            | (changes if i == 3 else {})
        )
    path = folder / "data" / "test-00000-of-00001.parquet"
    path.parent.mkdir(parents=True)
    path.write_bytes(default_parquet(rows, canary="none"))
    return rows


def test_the_lock_gives_the_rows_of_a_release_back_exactly(tmp_path):
    from hlvid.build.import_release import import_release, rows_of, write
    from hlvid.build.lock import read_lock
    from hlvid.build.questions import Draft, read_file
    from hlvid.errors import UserError

    rows = release(tmp_path / "in")
    imported = import_release(tmp_path / "in")
    write(tmp_path / "out", imported)
    drafts = read_file(tmp_path / "out" / "questions" / "hlvid.jsonl", Draft)
    lock = read_lock(tmp_path / "out" / LOCK_FILE)
    assert [dict(row) for row in rows_of(drafts, lock)] == rows
    assert {line.group_id for line in lock.active} == {f"clip_av_video_{i}" for i in range(6)}
    first = {d.question_id: d for d in drafts}[lock.active[0].question_id]
    assert default_row(question_of(first, lock.active[0])) == rows[0]
    again = import_release(tmp_path / "in")
    write(tmp_path / "out", again)
    path = tmp_path / "out" / "questions" / "hlvid.jsonl"
    path.write_text(path.read_text().replace(drafts[0].stem, f"{drafts[0].stem} Mended."))
    edited = path.read_bytes()
    with pytest.raises(UserError, match="was changed since it was imported"):
        write(tmp_path / "out", again)
    assert path.read_bytes() == edited


def test_every_check_speaks_of_a_release(tmp_path):
    from hlvid.build.import_release import import_release

    text = (
        "What does the text say?\nA. a long and telling option here\nB. no\nC. No \nD. nay\n"
        "Please answer directly."
    )
    release(tmp_path / "in", question=text, answer="A")
    report = import_release(tmp_path / "in").report
    number = str((3 * 5) % 24)
    assert report["broken_rules"][number].startswith("same_choices")
    assert number in report["flags"]["longest_answer"]
    assert number in report["flags"]["vague"]
    videos = {"asked_about": 24, "at_hand": 0, "not_readable": {}, "files": {}}
    assert report["videos"] == videos
    assert report["letters"]["all"]["uneven"] is None


def test_videos_at_hand_are_read_and_locked(tmp_path, clips):
    from hlvid.build.import_release import import_release

    root = tmp_path / "in"
    rows = release(root)
    plain = import_release(root)
    (root / "videos").mkdir()
    film = clips.make(num_frames=10)
    sound, broken, unasked = rows[0]["video_path"], rows[1]["video_path"], "other.mp4"
    for name, data in ((sound, film.read_bytes()), (broken, b"\0" * 99), (unasked, b"?")):
        (root / "videos" / name).write_bytes(data)
    number = str(rows[0]["question_id"])
    box = {"start_seconds": 0, "end_seconds": 0.2, "boxes": [[0, 0, 0, 9999, 9]]}
    marked = {"question_id": number, "video_id": sound, "evidence": [box]}
    marked |= {"num_annotators": 1, "num_agreeing": 1, "span_overlap": None, "box_overlap": None}
    (root / "evidence").mkdir()
    (root / "evidence" / "hlvid.jsonl").write_text(json.dumps(marked) + "\n")
    imported = import_release(root)
    told = imported.report["videos"]
    assert told["at_hand"] == 2 and set(told["files"]) == {sound, broken}
    assert told["files"][sound]["sha256"] == hashlib.sha256(film.read_bytes()).hexdigest()
    assert (told["files"][sound]["width"], told["files"][sound]["height"]) == (64, 48)
    assert set(told["not_readable"]) == {broken} and str(root) not in json.dumps(told)
    assert imported.report["evidence"] == {"marked": 1, "held_against_its_video": 1}
    assert imported.report["broken_rules"][number].startswith("box_outside")
    before, after = ({x.question_id: x for x in i.lock.active} for i in (plain, imported))
    moved = {q for q in before if before[q].content_sha256 != after[q].content_sha256}
    videos = {row["video_path"] for row in rows if f"hlvid-{row['question_id']}" in moved}
    assert videos == {sound, broken}
    assert imported.rows_sha256 == plain.rows_sha256


def test_a_release_that_does_not_hold_together_is_one_sentence(tmp_path):
    from hlvid.build.import_release import import_release
    from hlvid.errors import UserError

    release(tmp_path / "a", question="no options at all")
    with pytest.raises(UserError, match="row 3"):
        import_release(tmp_path / "a")
    release(tmp_path / "b", answer=None)
    with pytest.raises(UserError, match="withheld"):
        import_release(tmp_path / "b")
    release(tmp_path / "c", video_path="../../etc/passwd")
    with pytest.raises(UserError, match="row 3"):
        import_release(tmp_path / "c")
    with pytest.raises(UserError, match="missing"):
        import_release(tmp_path / "nowhere")
