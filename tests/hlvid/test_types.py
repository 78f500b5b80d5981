"""The records refuse what contradicts itself, and their schemas are the committed ones."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from hlvid.schema import SCHEMAS, main, schema_bytes
from hlvid.types import (
    ArmSettings,
    Evidence,
    Grade,
    Outcome,
    Prediction,
    Question,
    Summary,
    Video,
)

SCHEMA_FOLDER = Path(__file__).parents[2] / "docs" / "schema"
VIDEO = {
    "video_id": "v1",
    "width": 3840,
    "height": 2160,
    "duration_seconds": 300.0,
    "fps": 1.0,
    "license": "unknown",
    "source": "rendered",
}
QUESTION = {
    "question_id": "q1",
    "video_id": "v1",
    "category": "av",
    "text": "Which?\nA. a\nB. b",
    "stem": "Which?",
    "choices": ("a", "b"),
    "answer": "A",
}
PREDICTION = {
    "question_id": "q1",
    "arm": "off",
    "prompt_sha256": "0" * 64,
    "response": "A",
    "status": "ok",
}
SUMMARY = {
    "num_questions": 2,
    "num_videos": 1,
    "num_correct": 1,
    "num_wrong": 0,
    "num_unparsed": 1,
    "num_failed": 0,
    "accuracy": 0.5,
    "accuracy_low": 0.0,
    "accuracy_high": 1.0,
    "standard_error": None,
}


@pytest.mark.parametrize(
    ("type_", "fields", "changes", "said"),
    [
        (Video, VIDEO, {"path": "../v.mp4"}, "leaves the benchmark's folder"),
        (Video, VIDEO, {"path": "/v.mp4"}, "leaves the benchmark's folder"),
        (Video, VIDEO, {"path": "videos//v.mp4"}, "leaves the benchmark's folder"),
        (Video, VIDEO, {"path": "videos\\v.mp4"}, "leaves the benchmark's folder"),
        (Video, VIDEO, {"path": ""}, "leaves the benchmark's folder"),
        (Video, VIDEO, {"video_id": "a/b"}, "should match pattern"),
        (Video, VIDEO, {"video_id": ".."}, "should match pattern"),
        (Video, VIDEO, {"video_id": "v1\n"}, "should match pattern"),
        (Video, VIDEO, {"fps": float("inf")}, "finite number"),
        (Video, VIDEO, {"duration_seconds": float("nan")}, "finite number"),
        (Video, VIDEO, {"sha256": "0" * 63}, "should match pattern"),
        (Video, VIDEO, {"colour": "red"}, "Extra inputs"),
        (Question, QUESTION, {"answer": "C"}, "answer 'C' is not one of A/B"),
        (Question, QUESTION, {"choices": ("a", "a")}, "are not distinct"),
        (Question, QUESTION, {"choices": ("a",)}, "at least 2 items"),
        (Question, QUESTION, {"choices": ("a", " ")}, "must not be empty"),
        (Question, QUESTION, {"stem": "\n"}, "must not be empty"),
        (Prediction, PREDICTION, {"error": "oom"}, "exactly one of response and error"),
        (Prediction, PREDICTION, {"response": None}, "exactly one of response and error"),
        (Prediction, PREDICTION, {"status": "failed"}, "contradicts the presence of an error"),
        (Prediction, PREDICTION, {"stage_ms": {"decode": -1.0}}, "greater than or equal to 0"),
        (Summary, SUMMARY, {"num_correct": 2}, "outcomes add up to 3, not to 2 questions"),
        (ArmSettings, {"gaze": "off"}, {"selector": "detail"}, "gaze 'off' with selector 'detail'"),
        (ArmSettings, {"gaze": "on"}, {}, "gaze 'on' with selector None"),
        (ArmSettings, {"gaze": "on", "selector": "detail"}, {"budget": 0.0}, "greater than 0"),
    ],
)
def test_a_record_that_contradicts_itself_is_refused(
    type_: type, fields: dict[str, object], changes: dict[str, object], said: str
) -> None:
    if type_ is not ArmSettings:
        type_(**fields)
    with pytest.raises(ValidationError, match=said):
        type_(**(fields | changes))


def test_records_do_not_change() -> None:
    grade = Grade(
        question_id="q1", video_id="v1", category="av", letter=None, outcome=Outcome.FAILED
    )
    with pytest.raises(ValidationError, match="frozen"):
        grade.outcome = Outcome.CORRECT


def test_an_empty_reply_is_a_reply() -> None:
    assert Prediction(**(PREDICTION | {"response": ""})).response == ""


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"gaze": "off"}, "off"),
        ({"gaze": "on", "selector": "detail", "budget": 0.1}, "detail@0.1"),
        ({"gaze": "on", "selector": "autogaze", "threshold": 0.7}, "autogaze+0.7"),
        (
            {"gaze": "on", "selector": "random-matched:detail", "budget": 0.02, "seed": 3},
            "random-matched:detail@0.02#3",
        ),
    ],
)
def test_an_arm_is_named_by_what_it_is(fields: dict[str, object], name: str) -> None:
    assert ArmSettings.model_validate(fields).name == name


EVIDENCE = Evidence(
    start_seconds=10.0,
    end_seconds=20.0,
    boxes=((12.0, 0.0, 0.0, 10.0, 10.0), (16.0, 40.0, 20.0, 60.0, 30.0)),
)


@pytest.mark.parametrize(
    ("time_seconds", "box"),
    [
        (9.99, None),
        (10.0, (0.0, 0.0, 10.0, 10.0)),
        (12.0, (0.0, 0.0, 10.0, 10.0)),
        (13.0, (10.0, 5.0, 22.5, 15.0)),
        (16.0, (40.0, 20.0, 60.0, 30.0)),
        (19.99, (40.0, 20.0, 60.0, 30.0)),
        (20.0, None),
    ],
)
def test_a_box_moves_between_its_keys_and_rests_outside(
    time_seconds: float, box: tuple[float, ...] | None
) -> None:
    assert EVIDENCE.box_at(time_seconds) == box


@settings(max_examples=100, deadline=None)
@given(st.floats(10, 20, exclude_max=True))
def test_a_box_is_never_empty(time_seconds: float) -> None:
    box = EVIDENCE.box_at(time_seconds)
    assert box is not None
    x0, y0, x1, y1 = box
    assert 0 <= x0 < x1 <= 60 and 0 <= y0 < y1 <= 30


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"end_seconds": 10.0}, "is not after start_seconds"),
        ({"boxes": ()}, "at least 1 item"),
        ({"boxes": EVIDENCE.boxes[::-1]}, "not in order of time"),
        ({"boxes": ((0.0, 5.0, 0.0, 5.0, 1.0),)}, "is empty or starts outside"),
        ({"boxes": ((0.0, -1.0, 0.0, 5.0, 1.0),)}, "is empty or starts outside"),
    ],
)
def test_evidence_that_cannot_be_seen_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Evidence.model_validate(EVIDENCE.model_dump() | changes)


# --- schemas -------------------------------------------------------------------------------------


def test_the_committed_schemas_are_those_of_the_records() -> None:
    assert sorted(path.name for path in SCHEMA_FOLDER.iterdir()) == sorted(SCHEMAS)
    for name in SCHEMAS:
        committed = (SCHEMA_FOLDER / name).read_bytes()
        assert committed == schema_bytes(name), "run: python -m hlvid.schema docs/schema"


def test_schemas_are_written_where_they_are_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "schema")]) == 0
    assert (tmp_path / "schema" / "run.schema.json").read_bytes() == schema_bytes("run.schema.json")
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert main([str(tmp_path / "file" / "schema")]) == 1
    assert "cannot be written" in capsys.readouterr().err
