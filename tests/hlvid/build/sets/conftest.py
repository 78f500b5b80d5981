"""Questions about small clips, written, answered and settled: for tests of what is made of them."""

import numpy as np
import pytest

from hlvid.build.engine import run_stage
from hlvid.build.questions import Draft, Reply, add
from hlvid.build.stages import QUESTION_STAGES, by_name
from hlvid.types import Evidence

SEEN = Evidence(start_seconds=0.2, end_seconds=1.2, boxes=((0.2, 4.0, 4.0, 30.0, 20.0),))


def make_draft(number, video_id, /, **changes):
    fields = {
        "question_id": f"{video_id}-ann-{number}",
        "video_id": video_id,
        "stem": f"Which number is on door {number} of the house at the left?",
        "choices": tuple(str(7 * number + 100 + i) for i in range(4)),
        "evidence": (SEEN,),
        "author": "ann",
    }
    return Draft(**fields | changes)


def make_reply(question, annotator, choice=None):
    return Reply(
        question_id=question.question_id,
        wording_sha256=question.wording_sha256,
        annotator=annotator,
        choice=choice or question.choices[0],
    )


class Desk:
    """A workshop with clips, whose questions are written, answered and settled by a test."""

    def __init__(self, shop):
        self.shop = shop
        self.folder = shop.folder / "annotations"
        shop.rules["split"] = {"version": "1.0.0", "salt": "pepper"}
        shop.rules["package"] = {"title": "A try", "license": "CC-BY-4.0", "contact": "a@b.example"}
        work = shop.run()
        self.clips = [item.id for item, _ in work.passed(by_name("dedup"))]

    def write(self, drafts, name="ann"):
        add(self.folder / "questions", name, drafts)

    def answer(self, drafts, annotators=("bob", "eve")):
        for name in annotators:
            add(self.folder / "replies", name, [make_reply(each, name) for each in drafts])

    def settle(self):
        work = self.shop.open()
        for stage in QUESTION_STAGES:
            run_stage(work, stage)
        return work

    def settled(self, num_each=3):
        drafts = [make_draft(i, clip) for clip in self.clips for i in range(num_each)]
        self.write(drafts)
        self.answer(drafts)
        return self.settle(), drafts


@pytest.fixture
def desk(workshop, clips):
    x, y = np.mgrid[0:64, 0:48]
    for number in range(2):
        waves = [
            np.stack([np.sin(x / (3 + number + i % 5)) * 60 + y + 60] * 3, axis=-1).astype(np.uint8)
            for i in range(30)
        ]
        workshop.take(clips.make(name=f"film{number}", pictures=[w.swapaxes(0, 1) for w in waves]))
    return Desk(workshop)


@pytest.fixture(name="draft")
def draft_fixture():
    """How a question is made: (number, video id, fields)."""
    return make_draft


@pytest.fixture(name="reply")
def reply_fixture():
    """How a blind answer is made: (question, annotator, choice)."""
    return make_reply
