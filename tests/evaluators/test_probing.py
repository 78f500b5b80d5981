"""What a probe tells of the hours: what is shared once, what an arm looks at, what is asked."""

from types import SimpleNamespace

import pytest

from evaluators import probing
from evaluators.arms import OFF, plan_arms
from evaluators.item import Sight
from hlvid.types import Prediction, TokenCounts

COUNTS = TokenCounts(selector=0, encoded=4, visual=1, text=1, visual_off=1)


def test_a_video_is_decoded_once_for_all_arms_and_a_question_pays_for_all_it_does(monkeypatch):
    """An examinee that gazes by itself gazes within the answer: stage 'gaze', but no look."""
    arms = (OFF, *plan_arms("on", ["detail"], budgets=[0.1]))
    look = {"decode": 8000.0, "gaze": 0.0, "preprocess": 1000.0}
    answer = {"gaze": 3000.0, "preprocess": 500.0, "generate": 500.0}

    def sit_again(exam, questions, *, num_passes, on_look):
        found = {}
        for question in questions:
            for arm in arms:
                sight = Sight(
                    notes=None,
                    frames_sha256="0" * 64,
                    canvas_sha256="0" * 64,
                    tokens=COUNTS,
                    recalls={},
                    stage_ms=look,
                    peak_memory_bytes=1,
                )
                on_look(question.video_id, (arm.name,), sight)
                total = sum(look.values()) + sum(answer.values())
                found[question.question_id, arm.name] = Prediction(
                    question_id=question.question_id,
                    arm=arm.name,
                    prompt_sha256="0" * 64,
                    response="A",
                    status="ok",
                    tokens=COUNTS,
                    stage_ms={"end_to_end": total},
                )
        return [found]

    monkeypatch.setattr(probing, "sit_again", sit_again)
    asked = [SimpleNamespace(question_id=f"q{i}", video_id=f"v{i}") for i in range(2)]
    probes = probing.probe_arms(SimpleNamespace(settings=SimpleNamespace(arms=arms)), asked)
    for one in probes:
        assert (one.seconds_to_decode, one.seconds_per_look) == (8.0, 1.0)
        assert one.seconds_per_answer == 4.0
    seconds = probing.seconds_of(probes, num_questions=20, num_videos=5)
    assert seconds == pytest.approx(5 * 8 + 2 * (5 * 1 + 20 * 4))
