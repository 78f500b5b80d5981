"""From settled questions to a lock and a package, and what tampering with it does."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hlvid import datasets
from hlvid.build.adjudicate import ADJUDICATE
from hlvid.build.package import MANIFEST_FILE, package, read_manifest
from hlvid.build.questions import Ruling, add
from hlvid.build.set_rules import SplitRules
from hlvid.build.split import LOCK_FILE, Lock, Member, read_lock, split, split_of
from hlvid.build.takedown import take_down
from hlvid.build.verify import read_rows, verify
from hlvid.errors import UserError


def test_a_package_is_what_it_says_and_loads(desk, tmp_path):
    work, drafts = desk.settled()
    split(work)
    manifest = package(work, tmp_path / "out")
    assert verify(tmp_path / "out") == []
    assert (manifest.num_questions, manifest.num_videos) == (6, 2)
    benchmark = datasets.read(tmp_path / "out" / "test", root=tmp_path / "out")
    assert len(benchmark.questions) == 6
    right = {d.stem + d.video_id: d.choices[0] for d in drafts}
    for question in benchmark.questions:
        gold = question.choices[ord(question.answer) - ord("A")]
        assert gold == right[question.stem + question.video_id.removesuffix(".mp4")]
        assert benchmark.video_path(question.video_id).is_file()
    released = datasets.load("hlvid", data=tmp_path / "out")
    assert [q.text for q in released.questions] == [q.text for q in benchmark.questions]


def test_huggingface_datasets_reads_both_configurations(desk, tmp_path, monkeypatch):
    work, _ = desk.settled()
    split(work)
    manifest = package(work, tmp_path / "out")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    import datasets as huggingface

    where = {"cache_dir": str(tmp_path / "cache")}
    plain = huggingface.load_dataset(str(tmp_path / "out"), split="test", **where)
    assert plain.column_names == ["question_id", "category", "video_path", "question", "answer"]
    rich = huggingface.load_dataset(str(tmp_path / "out"), "structured", split="test", **where)
    assert rich[0]["evidence"][0]["boxes"][0]["x1"] == 30.0
    assert set(rich["canary"]) == {manifest.canary}


def test_croissant_validates(desk, tmp_path):
    mlcroissant = pytest.importorskip("mlcroissant")
    work, _ = desk.settled()
    split(work)
    package(work, tmp_path / "out")
    described = mlcroissant.Dataset(jsonld=str(tmp_path / "out" / "croissant.json"))
    assert not described.metadata.ctx.issues.errors
    rows = list(described.records("questions-test"))
    assert len(rows) == 6
    assert rows[0]["questions-test/answer"] in (b"A", b"B", b"C", b"D")
    broken = json.loads((tmp_path / "out" / "croissant.json").read_text())
    broken["recordSet"][1]["field"][0]["source"]["fileObject"]["@id"] = "nowhere"
    (tmp_path / "broken.json").write_text(json.dumps(broken))
    with pytest.raises(mlcroissant.ValidationError):
        mlcroissant.Dataset(jsonld=str(tmp_path / "broken.json"))


def test_making_it_again_elsewhere_gives_the_same_digests(desk, tmp_path):
    work, _ = desk.settled()
    split(work)
    before = package(work, tmp_path / "out")
    (desk.shop.folder / LOCK_FILE).unlink()
    code = (
        "import sys; from pathlib import Path\n"
        "from hlvid.build.work import Work; from hlvid.build.split import split\n"
        "from hlvid.build.package import package\n"
        "work = Work.open(Path(sys.argv[1]), Path(sys.argv[2])); split(work)\n"
        "print(package(work, Path(sys.argv[3])).model_dump_json())\n"
    )
    paths = [str(p) for p in (work.folder, desk.shop.spec, tmp_path / "again")]
    done = subprocess.run(
        [sys.executable, "-c", code, *paths],
        env={**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LC_ALL": "tr_TR.UTF-8"},
        capture_output=True,
        text=True,
        check=True,
    )
    again = json.loads(done.stdout)
    assert again["content_sha256"] == dict(before.content_sha256)
    assert again["files"] == before.model_dump(mode="json")["files"]


def test_letters_never_move_and_the_lock_only_grows(desk, draft, tmp_path):
    work, drafts = desk.settled(num_each=2)
    before, _ = split(work)
    first = (desk.shop.folder / LOCK_FILE).read_bytes()
    package(work, tmp_path / "one")
    desk.shop.rules["split"] = {"version": "1.1.0", "salt": "other salt now"}
    more = [draft(9, desk.clips[0]), draft(8, desk.clips[1])]
    mended = [drafts[0].model_copy(update={"stem": "Which number is on the door at the left?"})]
    desk.write([*mended, *drafts[1:-1], *more])
    desk.answer([*mended, *drafts[1:-1], *more])
    add(desk.folder / "questions", "gone", [drafts[-1]])
    ruled = Ruling(
        question_id=drafts[-1].question_id,
        wording_sha256=drafts[-1].wording_sha256,
        decision="reject",
        reason="two doors",
        adjudicator="zoe",
    )
    add(desk.folder / "rulings", "zoe", [ruled])
    lock, lines = split(desk.settle())
    assert (desk.shop.folder / LOCK_FILE).read_bytes().startswith(first)
    assert sorted(line.event for line in lines) == ["added", "added", "changed", "withdrawn"]
    for line in before.active:
        now = lock.last[line.question_id]
        assert (now.number, now.split, now.order) == (line.number, line.split, line.order)
    package(desk.shop.open(), tmp_path / "two")
    assert verify(tmp_path / "two", parent=tmp_path / "one") == []
    assert "two doors" not in (tmp_path / "two" / "CHANGELOG.md").read_text()
    assert "ruled\\_out" in (tmp_path / "two" / "CHANGELOG.md").read_text()
    assert verify(tmp_path / "one", parent=tmp_path / "two") != []


def test_a_takedown_leaves_a_tombstone_and_withdraws(desk, tmp_path):
    work, _ = desk.settled()
    split(work)
    package(work, tmp_path / "one")
    take_down(work, desk.clips[0], "the owner asked")
    desk.shop.rules["split"]["version"] = "1.1.0"
    work = desk.shop.run("adjudicate")
    lock, lines = split(work)
    assert {line.reason for line in lines} == {"takedown"}
    package(work, tmp_path / "two")
    assert verify(tmp_path / "two", parent=tmp_path / "one") == []
    assert len(list((tmp_path / "two" / "videos").iterdir())) == 1
    assert "the owner asked" in (tmp_path / "two" / "README.md").read_text()
    assert len(lock.active) == 3


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda p: (p / "videos" / "extra.mp4").write_bytes(b"x"), "is not in manifest.json"),
        (lambda p: (p / "facts.json").unlink(), "is missing"),
        (lambda p: next((p / "videos").iterdir()).unlink(), "is missing"),
        (lambda p: replace(p / "README.md", b"A try", b"A lie"), "its bytes have changed"),
        (lambda p: replace(p / "test" / "questions.jsonl", b'"answer":"', b'"answer":"Z'), "test"),
        (lambda p: swap_link(p / "facts.json"), "is no regular file"),
        (lambda p: replace(p / LOCK_FILE, b'"order":[', b'"order":[9,'), "order"),
    ],
)
def test_whatever_is_changed_is_noticed(desk, tmp_path, harm, said):
    work, _ = desk.settled(num_each=1)
    split(work)
    package(work, tmp_path / "out")
    harm(tmp_path / "out")
    assert any(said in problem for problem in verify(tmp_path / "out"))


def test_a_manifest_that_follows_a_forged_row_is_still_refused(desk, tmp_path):
    work, _ = desk.settled(num_each=1)
    split(work)
    package(work, tmp_path / "out")
    path = tmp_path / "out" / "test" / "questions.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[0]["answer"] = "ABCD"["BCDA".index(lines[0]["answer"])]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    forged = json.loads((tmp_path / "out" / MANIFEST_FILE).read_text())
    data = path.read_bytes()
    forged["files"]["test/questions.jsonl"] = {
        "sha256": hashlib.sha256(data).hexdigest(),
        "num_bytes": len(data),
    }
    (tmp_path / "out" / MANIFEST_FILE).write_text(json.dumps(forged))
    told = verify(tmp_path / "out")
    assert any("letters are not those" in problem for problem in told)
    assert any("is not in questions.jsonl" in problem for problem in told)


def test_letters_are_balanced_and_groups_stay_together(draft):
    lock = Lock()
    members = [
        Member(draft(i, f"clip{i % 40}"), f"group{i % 20}", ("av", "household")[i % 3 == 0])
        for i in range(201)
    ]
    rules = SplitRules(salt="s", shares={"dev": 0.4, "test": 0.6})
    lock.extend(members, {}, rules)
    splits = {}
    for line in lock.active:
        splits.setdefault(line.group_id, set()).add(line.split)
    assert all(len(found) == 1 for found in splits.values())
    assert {s for found in splits.values() for s in found} == {"dev", "test"}
    for split_ in ("dev", "test"):
        for category in ("av", "household"):
            letters = [
                line.letter
                for line in lock.active
                if (line.split, line.category) == (split_, category)
            ]
            counts = [letters.count(letter) for letter in "ABCD"]
            assert max(counts) - min(counts) <= 1
    assert sorted(line.number for line in lock.active) == list(range(201))
    shares = [split_of(f"g{i}", rules) for i in range(4000)]
    assert 0.35 < shares.count("dev") / 4000 < 0.45


def test_clips_locked_apart_may_not_turn_out_to_belong_together(draft):
    rules = SplitRules(salt="s", shares={"dev": 0.5, "test": 0.5})
    lock = Lock()
    members = [Member(draft(i, f"clip{i}"), f"group{i}", "av") for i in range(8)]
    lock.extend(members, {}, rules)
    assert {line.split for line in lock.active} == {"dev", "test"}
    merged = [Member(m.draft, "group0", m.category) for m in members]
    with pytest.raises(UserError, match="locked apart"):
        lock.extend(merged, {}, rules)


def test_a_lock_that_was_edited_is_refused(desk):
    work, _ = desk.settled(num_each=2)
    split(work)
    path = desk.shop.folder / LOCK_FILE
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    moved = {**lines[0], "event": "changed", "split": "dev"}
    path.write_text("".join(json.dumps(line) + "\n" for line in [*lines, moved]))
    with pytest.raises(UserError, match=r"split of question .* was moved"):
        read_lock(path)
    older = {**lines[0], "event": "changed", "version": "0.9.0"}
    path.write_text("".join(json.dumps(line) + "\n" for line in [*lines, older]))
    with pytest.raises(UserError, match=r"version 0\.9\.0 follows 1\.0\.0"):
        read_lock(path)


def test_what_is_half_done_withdraws_nothing(desk):
    work, drafts = desk.settled(num_each=2)
    split(work)
    before = (desk.shop.folder / LOCK_FILE).read_bytes()
    shutil.rmtree(desk.folder / "replies")
    with pytest.raises(UserError, match="nothing says what became of it"):
        split(desk.settle())
    desk.answer(drafts)
    desk.write(drafts[1:])
    with pytest.raises(UserError, match="nothing says what became of it"):
        split(desk.settle())
    assert (desk.shop.folder / LOCK_FILE).read_bytes() == before


def test_a_package_replaces_only_a_package(desk, tmp_path):
    work, _ = desk.settled(num_each=1)
    split(work)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="holds something else"):
        package(work, tmp_path / "out")
    assert (tmp_path / "out" / "thesis.txt").exists()
    (tmp_path / "out" / "thesis.txt").unlink()
    first = package(work, tmp_path / "out")
    assert package(work, tmp_path / "out") == first == read_manifest(tmp_path / "out")


def test_words_from_outside_are_no_markup_on_the_card(desk, tmp_path):
    desk.shop.rules["package"]["description"] = "<script>x</script> | [a](javascript:b) `c`"
    work, _ = desk.settled(num_each=1)
    split(work)
    package(work, tmp_path / "out")
    page = (tmp_path / "out" / "README.md").read_text()
    assert "<script>" not in page
    assert "\\<script\\>" in page
    assert "](javascript" not in page.replace("\\]\\(", "")
    rows = read_rows(tmp_path / "out" / "data" / "test-00000-of-00001.parquet")
    assert len(rows) == len(work.entries(ADJUDICATE))


def replace(path: Path, old: bytes, new: bytes):
    data = path.read_bytes()
    assert old in data
    path.chmod(0o644)
    path.write_bytes(data.replace(old, new, 1))


def swap_link(path: Path):
    copy = path.with_name("copy.json")
    path.rename(copy)
    path.symlink_to(copy)
