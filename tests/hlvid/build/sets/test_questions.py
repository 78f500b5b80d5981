"""Lint, agreement, audit and adjudication: each check with what it must notice and let pass."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlvid.build import controls
from hlvid.build.agreement import box_overlap, krippendorff_alpha, overlap, percent_agreement
from hlvid.build.audit import ask_all
from hlvid.build.engine import run_stage
from hlvid.build.facts import questions_told
from hlvid.build.lint import CHECKS, LINT
from hlvid.build.measuring import Measured, intervals, slope
from hlvid.build.probes import beside, crop_around, orders, probes_of, spread
from hlvid.build.questions import MAX_LINES, Draft, add, give_ruling, read, read_file
from hlvid.build.rebuild import rebuild
from hlvid.build.report import candidate_endings, content_digests
from hlvid.build.set_rules import AuditRules, FlagName
from hlvid.build.split import split
from hlvid.build.stages import QUESTION_STAGES
from hlvid.errors import UserError
from hlvid.types import Evidence, Probe, ProbeAnswer

# --- lint ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", controls.run_controls())
def test_a_check_tells_its_control_set_apart(name):
    outcome = controls.run_controls()[name]
    assert outcome.is_perfect, outcome
    assert outcome.num_faulty and outcome.num_sound


def test_every_flag_has_a_control_set():
    assert set(get_args(FlagName)) <= set(controls.run_controls())


def test_a_check_that_notices_nothing_fails_its_controls(monkeypatch):
    for name in CHECKS:
        monkeypatch.setitem(CHECKS, name, lambda stem, choices: None)
    monkeypatch.setattr(controls, "same_choices", lambda choices: "always")
    found = controls.run_controls()
    assert {name for name, each in found.items() if not each.is_perfect} == {
        *CHECKS,
        "same_choices",
    }


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"choices": ("7", "8", " 7.", "9")}, "same_choices"),
        ({"stem": "Which?\nA. one\nB. two"}, "malformed"),
        ({"stem": "Which cafe\u0301?"}, "malformed"),
        ({"evidence": ()}, "no_evidence"),
        (
            {"evidence": (Evidence(start_seconds=1, end_seconds=99, boxes=((1, 1, 1, 9, 9),)),)},
            "evidence_outside",
        ),
        (
            {"evidence": (Evidence(start_seconds=0, end_seconds=1, boxes=((0, 1, 1, 900, 9),)),)},
            "box_outside",
        ),
        ({"video_id": "file-0123456789abcdef.0-9"}, "video_missing"),
    ],
)
def test_a_broken_rule_ends_a_question_and_no_other(desk, draft, changes, code):
    desk.write([draft(0, desk.clips[0], **changes), draft(1, desk.clips[0])])
    work = desk.settle()
    rows = {row["question_id"]: row for row in questions_told(work)}
    assert rows[f"{desk.clips[0]}-ann-0"]["code"] == code
    assert rows[f"{desk.clips[0]}-ann-1"]["code"] == "needs_replies"


@pytest.mark.parametrize(
    ("stage", "rules", "code"),
    [
        ("probe", {"min_detail_decibels": 1000.0}, "upscaled"),
        ("select", {"min_height": 4000}, "too_low"),
        ("clip", {"target_seconds": 500.0}, "no_clip"),
    ],
)
def test_a_question_whose_video_ended_is_rejected_and_withdrawn(desk, stage, rules, code):
    work, _ = desk.settled(num_each=1)
    split(work)
    desk.shop.rules[stage] = {**desk.shop.rules[stage], **rules}
    desk.shop.rules["split"]["version"] = "1.1.0"
    work = desk.shop.run("adjudicate")
    assert {ending.code for ending in candidate_endings(work)} == {code}
    assert {row["code"] for row in questions_told(work)} == {"video_rejected"}
    lock, lines = split(work)
    assert lock.active == []
    assert {(line.event, line.reason) for line in lines} == {("withdrawn", "video_rejected")}


# --- agreement -----------------------------------------------------------------------------------

WORKED = """
1 2 3 3 2 1 4 1 2 . . .
1 2 3 3 2 2 4 1 2 5 . 3
. 3 3 3 2 3 4 2 2 5 1 .
1 2 3 3 2 4 4 1 2 5 1 .
"""


def units(text):
    columns = zip(*(line.split() for line in text.strip().splitlines()), strict=True)
    return [[int(v) for v in column if v != "."] for column in columns]


def test_alpha_gives_the_published_worked_values():
    """Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", examples A, B and C."""
    binary = list(zip("0100000010", "1110010000", strict=True))
    assert round(krippendorff_alpha(binary), 3) == 0.095
    nominal = list(zip("aabbdcccedda", "babbbccceddd", strict=True))
    assert round(krippendorff_alpha(nominal), 3) == 0.692
    assert round(krippendorff_alpha(units(WORKED)), 3) == 0.743
    assert round(krippendorff_alpha(units(WORKED), metric="interval"), 3) == 0.849


@given(st.lists(st.lists(st.integers(0, 3), min_size=2, max_size=4), min_size=2, max_size=12))
def test_alpha_does_not_depend_on_names_or_order(values):
    alpha = krippendorff_alpha(values)
    renamed = [[f"name {9 - v}" for v in reversed(unit)] for unit in reversed(values)]
    assert krippendorff_alpha(renamed) == (pytest.approx(alpha) if alpha is not None else None)
    if alpha is not None:
        assert alpha <= 1
        assert (alpha == pytest.approx(1)) == (percent_agreement(values) == 1)


def test_overlaps_are_shares_of_what_both_cover():
    assert overlap((0, 2), (1, 3)) == pytest.approx(1 / 3)
    assert overlap((0, 1), (2, 3)) == 0
    assert box_overlap((0, 0, 2, 2), (1, 1, 3, 3)) == pytest.approx(1 / 7)


# --- probes --------------------------------------------------------------------------------------


def linted(desk, draft, **changes):
    desk.write([draft(0, desk.clips[0], **changes)])
    work = desk.settle()
    return next(found for _, found in work.passed(LINT))


def test_probes_hold_no_answer_and_show_the_same_frames_on_every_rung(desk, draft):
    found = linted(desk, draft)
    rules = AuditRules(heights=(16, 32, 48), num_frames=4, num_permutations=4)
    probes = probes_of(found, rules, path="/somewhere")
    ladder = [p for p in probes if p.kind == "resolution"]
    assert [p.height for p in ladder] == [16, 32, 48]
    assert len({p.frame_seconds for p in ladder}) == 1
    right = found.draft.choices[0]
    for kind in ("blind", "permuted"):
        places = [p.choices.index(right) for p in probes if p.kind == kind]
        assert sorted(places) == [0, 1, 2, 3]
    assert all(p.path is None for p in probes if p.kind == "blind")
    (crop,) = [p.crop for p in probes if p.kind == "oracle-crop"]
    assert crop[0] <= 4 and crop[2] >= 30
    assert {p.probe_id for p in probes_of(found, rules, path="/other")} == {
        p.probe_id for p in probes
    }


def test_the_order_of_options_does_not_tell_which_is_right(draft):
    firsts = [orders(draft(i, "clip"))[0].index(0) for i in range(400)]
    assert all(70 < firsts.count(place) < 130 for place in range(4))


def test_a_control_crop_is_as_large_and_elsewhere(desk, draft):
    clip = linted(desk, draft).clip.model_copy(update={"width": 3840, "height": 2160})
    for box in (
        (5.0, 5.0, 60.0, 30.0),
        (3700.0, 2100.0, 3840.0, 2160.0),
        (1900.0, 0.0, 2000.0, 9.0),
    ):
        crop = crop_around([box], clip, AuditRules())
        assert crop[0] <= box[0] and crop[1] <= box[1] and crop[2] >= box[2] and crop[3] >= box[3]
        assert 0 <= crop[0] < crop[2] <= 3840 and 0 <= crop[1] < crop[3] <= 2160
        other = beside(crop, clip)
        assert (other[2] - other[0], other[3] - other[1]) == (crop[2] - crop[0], crop[3] - crop[1])
        assert (
            other[2] <= crop[0] or other[0] >= crop[2] or other[3] <= crop[1] or other[1] >= crop[3]
        )
    assert beside((0.0, 0.0, 3000.0, 2000.0), clip) is None
    assert spread(0, 10, 4) == (1.25, 3.75, 6.25, 8.75)


# --- audit ---------------------------------------------------------------------------------------

MODEL = """
    # A model that knows the right words and uses them in some kinds of probe only.
    import json, sys
    kinds = json.loads(sys.argv[1])
    right = json.loads(sys.argv[2])
    with open(sys.argv[3]) as probes, open(sys.argv[4], "w") as answers:
        for line in probes:
            probe = json.loads(line)
            assert "answer" not in probe
            key = probe["kind"]
            if key == "resolution":
                key = f"resolution-{probe['height']}"
            letter = "ABCD"[probe["choices"].index(right[probe["question_id"]])]
            said = letter if key in kinds else sys.argv[5]
            model = {"name": "knows", "kind": sys.argv[6]}
            answer = {"probe_id": probe["probe_id"], "model": model, "response": said}
            answers.write(json.dumps(answer) + chr(10))
"""
GOOD = ["permuted", "context", "single-frame", "oracle-crop", "resolution-48"]


def audited(desk, draft, kinds=GOOD, otherwise="No idea.", kind="reader", num_each=2, only=None):
    """Ask a model that answers rightly in some kinds of probe; the work folder afterwards."""
    script = desk.shop.folder / "model.py"
    script.write_text(textwrap.dedent(MODEL))
    drafts = [draft(i, clip) for clip in desk.clips for i in range(num_each)]
    desk.write(drafts)
    desk.answer(drafts)
    right = json.dumps({d.question_id: d.choices[0] for d in drafts})
    command = (
        f"{sys.executable} {script} '{json.dumps(kinds)}' '{right}' "
        f"{{probes}} {{answers}} '{otherwise}' {kind}"
    )
    desk.shop.rules["audit"] = {"heights": [16, 32, 48], "num_frames": 4}
    desk.shop.rules["audit.models"] = {"knows": command}
    work = desk.shop.open()
    run_stage(work, LINT)
    ask_all(desk.shop.open(), only=only)
    return desk.settle()


def test_of_one_question_alone_nothing_else_is_asked(desk, draft):
    name = draft(0, desk.clips[0]).question_id
    rows = questions_told(audited(desk, draft, only=name))
    assert {row["question_id"] for row in rows if row["code"] != "unanswered"} == {name}


def test_gap_and_slope_are_told_for_every_question_and_nothing_is_asked_twice(desk, draft):
    work = audited(desk, draft)
    rows = questions_told(work)
    assert [row["state"] for row in rows] == ["settled"] * 4
    for row in rows:
        (measured,) = row["measured"]
        assert measured["blind_gap"] == 1.0
        assert measured["resolution_slope"] == pytest.approx(slope([(16, 0), (32, 0), (48, 1)]))
    assert ask_all(desk.shop.open()) == 0
    found = intervals(
        [(row["question_id"][:21], [Measured(**m)]) for row in rows for m in row["measured"]]
    )
    assert found["knows"]["blind_gap"]["num_questions"] == 4
    assert found["knows"]["blind_gap"]["num_videos"] == 2


@pytest.mark.parametrize(
    ("kinds", "otherwise", "kind", "flag"),
    [
        ([*GOOD, "blind"], "No idea.", "mllm", "answerable_blind"),
        ([*GOOD, "resolution-16"], "No idea.", "mllm", "answerable_small"),
        (["permuted"], "No idea.", "mllm", "unanswerable_crop"),
        ([*GOOD, "elsewhere"], "No idea.", "mllm", "other_place"),
        (GOOD, "A", "reader", "other_place"),
        (GOOD, "No idea.", "mllm", None),
    ],
)
def test_each_doubt_of_the_audit_comes_when_it_should_and_only_then(
    desk, draft, kinds, otherwise, kind, flag
):
    work = audited(desk, draft, kinds, otherwise, kind, num_each=1)
    for row in questions_told(work):
        found = {each["check"] for each in row["flags"]}
        assert (flag in found) if flag else not found
        assert row["state"] == ("quarantined" if flag else "settled")


def test_answers_are_replayed_without_the_model(desk, draft):
    audited(desk, draft, num_each=1)
    (desk.shop.folder / "model.py").unlink()
    done = rebuild(desk.shop.open(), num_workers=0)
    assert done.differences == ()


def test_another_command_under_a_name_is_asked_anew(desk, draft):
    audited(desk, draft, num_each=1)
    models = desk.shop.rules["audit.models"]
    before = models["knows"]
    models["knows"] = f"{before} --other-weights"
    assert {row["code"] for row in questions_told(desk.settle())} == {"unanswered"}
    assert ask_all(desk.shop.open()) > 0
    models["knows"] = before
    assert ask_all(desk.shop.open()) == 0
    assert {row["state"] for row in questions_told(desk.settle())} == {"settled"}


def test_what_grades_would_mark_failed_is_asked_again(desk, draft):
    work = audited(desk, draft, otherwise="CUDA out of memory. Tried to allocate", num_each=1)
    rows = questions_told(work)
    assert {row["code"] for row in rows} == {"unanswered"}
    script = desk.shop.folder / "model.py"
    script.write_text(script.read_text().replace("sys.argv[5]", '"No idea."'))
    num_asked = ask_all(desk.shop.open())
    wanted = int(rows[0]["detail"].split()[1]) + int(rows[1]["detail"].split()[1])
    assert num_asked == wanted
    assert {row["state"] for row in questions_told(desk.settle())} == {"settled"}
    assert ask_all(desk.shop.open()) == 0


def command(desk, *words, **environment):
    """Run `hlvid-build WORDS SPEC` in a process of its own."""
    script = Path(sys.executable).parent / "hlvid-build"
    verb, *rest = words
    return subprocess.run(
        [script, verb, desk.shop.spec, "--work", desk.shop.folder / "work", *rest],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def test_questions_in_shards_give_the_same_and_so_does_making_it_again(desk, draft):
    before = content_digests(audited(desk, draft))
    kept = (desk.shop.folder / "work" / "manifests" / "adjudicate.jsonl").read_bytes()
    shutil.rmtree(desk.folder / "answers")
    for stage in QUESTION_STAGES:
        shutil.rmtree(desk.shop.folder / "work" / "journal" / stage.name)
    for verb in ("lint", "audit", "adjudicate"):
        for index in (2, 0, 1):
            done = command(desk, verb, "--shard", f"{index}/3", PYTHONHASHSEED=str(index))
            assert done.returncode == 0, done.stderr
    work = desk.shop.open()
    assert content_digests(work) == before
    assert work.manifest_path(QUESTION_STAGES[-1]).read_bytes() == kept
    names = {path.name for path in (desk.folder / "answers" / "knows").glob("*/*")}
    assert len(names) > 1
    assert names <= {f"{index}-of-3.jsonl" for index in range(3)}
    assert ask_all(work) == 0
    abroad = {"LC_ALL": "tr_TR.UTF-8", "TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "7"}
    done = command(desk, "rebuild", "--check", "--workers", "2", **abroad)
    assert done.returncode == 0, done.stderr
    assert "0 differ" in done.stdout


def test_answers_of_two_models_are_not_mixed(desk, draft):
    audited(desk, draft, num_each=1)
    script = desk.shop.folder / "model.py"
    script.write_text(script.read_text().replace('"knows"', '"other"'))
    desk.shop.rules["audit"]["num_frames"] = 5
    with pytest.raises(UserError, match="knows has answers of 2 models"):
        ask_all(desk.shop.open())
    (path,) = (desk.folder / "answers" / "knows").glob("*/*")
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0].replace('"knows"', '"other"'), *lines[1:]]) + "\n")
    with pytest.raises(UserError, match="knows has answers of 2 models"):
        desk.settle()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("/nonexistent/model {probes} {answers}", "cannot be started"),
        (f"{sys.executable} -c 'import sys;sys.exit(9)' {{probes}} {{answers}}", "ended with 9"),
        ("cp {probes} {answers}", "answers.jsonl:1"),
    ],
)
def test_a_model_that_fails_is_one_sentence(desk, draft, command, said):
    desk.write([draft(0, desk.clips[0])])
    desk.shop.rules["audit.models"] = {"m": command}
    run_stage(desk.shop.open(), LINT)
    with pytest.raises(UserError, match=said):
        ask_all(desk.shop.open())
    assert not (desk.folder / "answers").exists()
    assert len(list((desk.shop.folder / "work" / "scratch").glob("asking-*"))) == 1
    work = desk.settle()
    assert questions_told(work)[0]["code"] == "unanswered"


def test_a_probe_or_answer_that_contradicts_itself_is_refused():
    known = {
        "probe_id": "0" * 64,
        "question_id": "q",
        "text": "t",
        "stem": "s",
        "choices": ["a", "b"],
    }
    with pytest.raises(ValueError, match="of the video's fields"):
        Probe(kind="blind", path="x", **known)
    with pytest.raises(ValueError, match="ascend"):
        Probe(kind="permuted", path="x", video_sha256="0" * 64, frame_seconds=(2, 1), **known)
    with pytest.raises(ValueError, match="exactly one"):
        ProbeAnswer(probe_id="0" * 64, model={"name": "m", "kind": "reader"})


# --- adjudication --------------------------------------------------------------------------------


def test_who_answers_otherwise_opens_a_dispute_that_a_ruling_ends(desk, draft, reply):
    one, other = draft(0, desk.clips[0]), draft(1, desk.clips[0])
    desk.write([one, other])
    desk.answer([one, other], ("bob",))
    add(desk.folder / "replies", "eve", [reply(one, "eve", one.choices[2]), reply(other, "eve")])
    states = {r["question_id"]: (r["state"], r["code"]) for r in questions_told(desk.settle())}
    assert states[one.question_id] == ("quarantined", "disputed")
    assert states[other.question_id] == ("settled", None)
    give_ruling(desk.folder, one.question_id, "accept", reason="misread", adjudicator="zoe")
    give_ruling(desk.folder, other.question_id, "reject", reason="two doors", adjudicator="zoe")
    rows = {r["question_id"]: r for r in questions_told(desk.settle())}
    assert rows[one.question_id]["state"] == "settled"
    assert (rows[other.question_id]["code"], rows[other.question_id]["detail"]) == (
        "ruled_out",
        "two doors",
    )
    give_ruling(desk.folder, one.question_id, "reject", reason="no", adjudicator="max")
    rows = {r["question_id"]: r for r in questions_told(desk.settle())}
    assert (rows[one.question_id]["code"], rows[one.question_id]["detail"]) == (
        "disputed",
        "max and zoe rule differently",
    )
    give_ruling(desk.folder, one.question_id, "accept", reason="oh", adjudicator="max")
    rows = {r["question_id"]: r for r in questions_told(desk.settle())}
    assert rows[one.question_id]["state"] == "settled"


def test_the_author_and_other_wordings_do_not_count_as_replies(desk, draft, reply):
    question = draft(0, desk.clips[0])
    desk.write([question.model_copy(update={"stem": "Which number is on the door at the left?"})])
    desk.answer([question])
    add(desk.folder / "replies", "ann", [reply(draft(0, desk.clips[0]), "ann")])
    (row,) = questions_told(desk.settle())
    assert (row["code"], row["detail"]) == ("needs_replies", "0 of 2")


def test_only_what_is_touched_is_done_anew(desk, draft):
    _, drafts = desk.settled()
    mended = drafts[0].model_copy(update={"stem": "Which number is on the door at the left?"})
    desk.write([mended, *drafts[1:]])
    work = desk.shop.open()
    assert [task.item.id for task in work.todo(LINT)] == [drafts[0].question_id]
    assert all(run_stage(work, stage).num_done_now == 1 for stage in QUESTION_STAGES)


# --- hostile files -------------------------------------------------------------------------------


def test_a_million_lines_are_refused_before_they_are_read(tmp_path):
    import tracemalloc

    path = tmp_path / "questions.jsonl"
    with path.open("wb") as file:
        for _ in range(1000):
            file.write(b'{"question_id":"q"}\n' * 1000)
    tracemalloc.start()
    with pytest.raises(UserError, match=f"more than {MAX_LINES} lines"):
        read_file(path, Draft)
    assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"PK\x03\x04" + b"\0" * 5000, "is not UTF-8|is not JSON|is unknown|control"),
        (b'{"question_id":"../../etc/passwd"}\n', "question_id"),
        (b'{"question_id":"q","question_id":"r"}\n', "is there twice"),
        (b"[" * 100_000 + b"\n", "nested too deep|is not JSON|Allowed is a JSON object"),
        (b'{"question_id":"<b>x</b>"}\n', "question_id"),
    ],
)
def test_a_strange_file_is_one_sentence(tmp_path, data, said):
    path = tmp_path / "questions.jsonl"
    path.write_bytes(data)
    with pytest.raises(UserError, match=said) as told:
        read_file(path, Draft)
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 500


def test_a_question_that_is_there_twice_is_refused(desk, draft):
    desk.write([draft(0, desk.clips[0])])
    desk.write([draft(0, desk.clips[0])], name="bob")
    with pytest.raises(UserError, match="is there twice"):
        read(desk.folder)
