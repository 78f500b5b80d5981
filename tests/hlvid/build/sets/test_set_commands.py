"""The verbs for questions, splits and packages, as they are typed; and what a kill leaves."""

import json
import signal
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hlvid.build.clip import clips_of
from hlvid.build.fetch import FETCH
from hlvid.build.questions import read
from hlvid.build.verify import verify
from hlvid.cli import app
from hlvid.errors import UserError
from hlvid.files import write_jsonl


def call(desk, *words):
    """Run `hlvid-build WORDS ...` with SPEC and WORK filled in, in this process."""
    filled = [str({"SPEC": desk.shop.spec}.get(word, word)) for word in words]
    done = CliRunner().invoke(app, filled)
    if isinstance(done.exception, UserError):
        raise done.exception
    assert done.exception is None or isinstance(done.exception, SystemExit), done.output
    return done


def at(desk):
    return ("--work", desk.shop.folder / "work")


def test_from_a_pack_to_a_package_by_commands_alone(desk, draft, reply, tmp_path):
    out = tmp_path / "packs"
    call(desk, "annotate", "export", "SPEC", *at(desk), "--annotator", "ann", "--out", out / "ann")
    drafts = [draft(0, clip) for clip in desk.clips]
    write_jsonl(out / "ann" / "answers.jsonl", drafts)
    done = call(desk, "annotate", "import", "SPEC", out / "ann", *at(desk))
    assert "2 questions from ann" in done.stdout
    call(desk, "lint", "SPEC", *at(desk))
    for name in ("bob", "eve"):
        words = ("--kind", "answer", "--annotator", name, "--out", out / name)
        call(desk, "annotate", "export", "SPEC", *at(desk), *words)
        lines = [reply(each, name) for each in drafts]
        if name == "eve":
            lines[0] = reply(drafts[0], name, drafts[0].choices[3])
        write_jsonl(out / name / "answers.jsonl", lines)
        call(desk, "annotate", "import", "SPEC", out / name, *at(desk))
    done = call(desk, "run", "SPEC", *at(desk), "--workers", "1")
    assert "hlvid-build split" in done.stderr
    done = call(desk, "questions", "SPEC", *at(desk))
    assert f"{drafts[0].question_id}  quarantined disputed 1 of 2 answered otherwise" in done.stdout
    words = (drafts[0].question_id, "accept", "--by", "zoe", "--reason", "misread")
    call(desk, "rule", "SPEC", *words, *at(desk))
    call(desk, "adjudicate", "SPEC", *at(desk))
    done = call(desk, "split", "SPEC", *at(desk), "--json")
    told = {"version": "1.0.0", "num_questions": 2, "events": {"added": 2}}
    assert json.loads(done.stdout) == told
    assert call(desk, "split", "SPEC", *at(desk)).stdout == ""
    call(desk, "package", "SPEC", *at(desk), "--out", tmp_path / "set")
    assert call(desk, "verify", tmp_path / "set").exit_code == 0
    (tmp_path / "set" / "facts.json").write_text("{}")
    done = call(desk, "verify", tmp_path / "set", "--json")
    assert done.exit_code == 1
    assert "facts.json" in json.loads(done.stdout)["problems"][0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("rule", "SPEC", "nobody", "accept", "--by", "z", "--reason", "r"), "is no question"),
        (
            ("annotate", "export", "SPEC", "--annotator", "../x", "--out", "o"),
            "--annotator: '../x'",
        ),
        (("annotate", "export", "SPEC", "--annotator", "a-b", "--out", "o"), "--annotator: 'a-b'"),
        (("annotate", "export", "--annotator", "ann", "--out", "o"), "either a spec or --release"),
        (("annotate", "serve", "/nonexistent"), "has no pack.json"),
        (("verify", "/nonexistent"), "has no manifest.json"),
        (("import-release", "--out", "o"), "either a folder or --hub"),
        (("split", "SPEC"), "items are not done"),
        (("publish", "/nonexistent", "--repo", "a/b"), "has no manifest.json"),
        (("package", "SPEC", "--out", "."), r"^\.: has no name of its own"),
        (("package", "SPEC", "--out", ".."), r"^\.\.: has no name of its own"),
        (("package", "SPEC", "--out", "/"), "^/: has no name of its own"),
        (("package", "SPEC", "--out", __file__), r"cannot be a folder \(Not a directory\)"),
        (("package", "SPEC", "--out", f"{__file__}/x"), r"cannot be a folder \(Not a directory\)"),
    ],
)
def test_a_mistake_is_one_sentence(desk, words, said):
    with pytest.raises(UserError, match=said):
        call(desk, *words)


def test_a_port_that_is_taken_is_one_sentence(desk, tmp_path):
    call(
        desk, "annotate", "export", "SPEC", *at(desk), "--annotator", "ann", "--out", tmp_path / "p"
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"^--port: {port} cannot be had") as caught:
            call(desk, "annotate", "serve", tmp_path / "p", "--port", port)
    assert caught.value.exit_code == 1


def test_a_clip_that_is_gone_is_one_sentence(desk, tmp_path):
    desk.shop.rules["audit.models"] = {"m": "cp {probes} {answers}"}
    work, _ = desk.settled(num_each=1)
    desk.shop.rules["audit.models"] = {}
    desk.settle()
    call(desk, "split", "SPEC", *at(desk))
    (clip, *_) = clips_of(work)
    work.store.path(clip[1].file).unlink()
    words = ("package", "SPEC", *at(desk), "--out", tmp_path / "set")
    said = "media_missing .* is not in the store.*Run the stage that makes it again"
    with pytest.raises(UserError, match=f"^package: clip .*{said}") as caught:
        call(desk, *words)
    assert caught.value.exit_code == 1
    assert not (tmp_path / "set").exists()
    words = ("--annotator", "zoe", "--out", tmp_path / "pack")
    with pytest.raises(UserError, match=f"^annotate: {said}"):
        call(desk, "annotate", "export", "SPEC", *at(desk), *words)
    desk.shop.rules["audit.models"] = {"m": "cp {probes} {answers}"}
    with pytest.raises(UserError, match=f"^audit: clip .*{said}"):
        call(desk, "audit", "SPEC", *at(desk))


def test_a_package_is_not_made_again_of_what_differs(desk, tmp_path):
    work, _ = desk.settled(num_each=1)
    call(desk, "split", "SPEC", *at(desk))
    call(desk, "package", "SPEC", *at(desk), "--out", tmp_path / "set")
    entry = next(e for e in work.entries(FETCH) if e.output)
    work.store.path(entry.output.file).unlink()
    words = ("rebuild", "SPEC", *at(desk), "--check", "--package", tmp_path / "set", "--json")
    done = call(desk, *words)
    assert done.exit_code == 1
    told = json.loads(done.stdout)["differences"]
    assert f"fetch: {entry.item}: its file is gone" in told
    assert told[-1] == "package: is not made again, since what it is made of differs"


def test_an_id_twice_in_a_file_is_refused_before_anything_is_kept(desk, draft, tmp_path):
    drafts = [draft(0, desk.clips[0]), draft(1, desk.clips[0]), draft(0, desk.clips[1])]
    drafts[2] = drafts[2].model_copy(update={"question_id": drafts[0].question_id})
    write_jsonl(tmp_path / "lines.jsonl", drafts)
    words = ("annotate", "import", "SPEC", tmp_path / "lines.jsonl", "--kind", "write", *at(desk))
    said = f"question {drafts[0].question_id}: is there twice, in lines 1 and 3"
    with pytest.raises(UserError, match=said):
        call(desk, *words)
    assert read(desk.folder).drafts == ()


def test_control_sets_and_an_unruly_ruling(desk, draft):
    done = call(desk, "controls", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["vague"]["num_faulty"] == 4
    question = draft(0, desk.clips[0])
    desk.write([question])
    words = (question.question_id, "maybe", "--by", "z", "--reason", "r")
    with pytest.raises(UserError, match="field 'decision'"):
        call(desk, "rule", "SPEC", *words, *at(desk))


def test_rulings_at_once_are_all_kept(desk, draft):
    drafts = [draft(i, desk.clips[0]) for i in range(4)]
    desk.write(drafts)
    program = Path(sys.executable).with_name("hlvid-build")
    running = [
        subprocess.Popen(
            [
                program,
                "rule",
                desk.shop.spec,
                d.question_id,
                "accept",
                "--by",
                "zoe",
                "--reason",
                "r",
            ]
            + [str(word) for word in at(desk)],
            stdout=subprocess.DEVNULL,
        )
        for d in drafts
    ]
    assert [one.wait() for one in running] == [0] * 4
    assert set(read(desk.folder).rulings) == {d.question_id for d in drafts}


def test_a_file_of_the_same_name_takes_nothing_out_unless_told_so(desk, draft, reply, tmp_path):
    drafts = [draft(i, desk.clips[0]) for i in range(2)]
    for kind, lines in (("write", drafts), ("answer", [reply(each, "bob") for each in drafts])):
        for name, line in zip("ab", lines, strict=True):
            write_jsonl(tmp_path / kind / name / "lines.jsonl", [line])
        one, other = (tmp_path / kind / name / "lines.jsonl" for name in "ab")
        words = ("--kind", kind, *at(desk))
        call(desk, "annotate", "import", "SPEC", one, *words)
        with pytest.raises(UserError, match=r"^lines\.jsonl: came before, with 1 more, such as"):
            call(desk, "annotate", "import", "SPEC", other, *words)
        write_jsonl(one, lines)
        call(desk, "annotate", "import", "SPEC", one, *words)
    call(desk, "annotate", "import", "SPEC", other, *words, "--replace")
    assert len(read(desk.folder).drafts) == 2
    assert list(read(desk.folder).replies) == [drafts[1].question_id]


def test_a_zip_bomb_is_no_questions_file(desk, tmp_path):
    path = tmp_path / "questions.jsonl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a", bytes(2**26))
    with pytest.raises(UserError, match=r"^questions\.jsonl:1: "):
        call(desk, "annotate", "import", "SPEC", path, "--kind", "write", *at(desk))


def test_killed_at_any_moment_a_package_is_whole_or_not_there(desk, tmp_path):
    desk.settled()
    script = Path(sys.executable).parent / "hlvid-build"
    spec, work = desk.shop.spec, desk.shop.folder / "work"
    call(desk, "split", "SPEC", *at(desk))
    call(desk, "package", "SPEC", *at(desk), "--out", tmp_path / "whole")
    wanted = (tmp_path / "whole" / "manifest.json").read_bytes()
    words = [script, "package", spec, "--work", work, "--out", tmp_path / "out"]
    for seconds in (0.5, 0.8, 1.1):
        running = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        running.send_signal(signal.SIGKILL)
        running.wait()
        if (tmp_path / "out").exists():
            assert verify(tmp_path / "out") == []
    call(desk, "package", "SPEC", *at(desk), "--out", tmp_path / "out")
    assert (tmp_path / "out" / "manifest.json").read_bytes() == wanted
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []
