"""Questions and models with a known fault, and others without: every check can fail, and can pass.

`hlvid-build controls` runs them. A check that lets one of the faulty pass, or stops one of
the sound, is not worth its flag.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hlvid.build.codes import Ended
from hlvid.build.lint import CHECKS, Linted, check_evidence, letter_balance, same_choices
from hlvid.build.measuring import judge
from hlvid.build.probes import probes_of
from hlvid.build.questions import Draft
from hlvid.build.records import Clip, Media
from hlvid.build.set_rules import AuditRules
from hlvid.types import Evidence, ModelId, Probe, ProbeAnswer

Words = tuple[str, tuple[str, ...]]
"""(stem, choices with the right one first)."""
Knows = Callable[[Probe], bool]
"""Whether an invented model answers a probe rightly."""


@dataclass(frozen=True)
class Outcome:
    """How a check did on its control set.

    Args:
        num_noticed: Of the faulty ones.
        num_faulty: That there are.
        num_passed: Of the sound ones.
        num_sound: That there are.
    """

    num_noticed: int
    num_faulty: int
    num_passed: int
    num_sound: int

    @property
    def is_perfect(self) -> bool:
        """Whether it told all of them apart."""
        return (self.num_noticed, self.num_passed) == (self.num_faulty, self.num_sound)


_FLAGGED: Mapping[str, tuple[Sequence[Words], Sequence[Words]]] = {
    "longest_answer": (
        (
            ("What is on the door?", ("A parcel with a long blue ribbon", "A cat", "A key")),
            ("How does the shop on the left call itself?", ("Bakery of the old town", "Bakery")),
        ),
        (
            ("What is on the door?", ("A blue parcel", "A green parcel", "A key")),
            ("What number is on the door?", ("117", "17", "7")),
        ),
    ),
    "gold_in_stem": (
        (
            ("What does the sign of the Harbour bakery say?", ("Harbour bread", "Mill cake")),
            ("Which colour has the Crimson house's door?", ("crimson", "green", "blue")),
        ),
        (
            ("What does the sign of the harbour bakery say?", ("Mill bread", "Mill cake")),
            ("Which harbour is on the ticket?", ("North harbour", "South harbour")),
            ("Which number is on the bus?", ("17", "71")),
        ),
    ),
    "vague": (
        (
            ("What is it?", ("A cat", "A dog")),
            ("What does this sign say?", ("Stop", "Go")),
            ("What does the white text say?", ("Open", "Shut")),
            ("What colour is the small black object?", ("Grey", "Red")),
        ),
        (
            ("What does the white text on the green road sign say?", ("Open", "Shut")),
            ('What stands under the sign "Exit"?', ("A car", "A van")),
            ("How many pears lie in the bowl beside the sink?", ("3", "4")),
        ),
    ),
}
_SAME: tuple[Sequence[Words], Sequence[Words]] = (
    (
        ("Which?", ("Open", "open ")),
        ("Which?", ("ＡＢＣ", "x", "abc")),
        ("Which?", ("New York.", "NewYork")),
    ),
    (("Which?", ("B06EBFC", "B06EBFD")), ("Which?", ("+", "-")), ("Which?", ("3.5", "35"))),
)
_BALANCE: tuple[Sequence[str], Sequence[str]] = (
    ("A" * 40, "B" * 12 + "C" * 12),
    ("ABCD" * 10, "AAA"),
)
_BOX = (0.0, 10.0, 10.0, 60.0, 40.0)
_EVIDENCE: Mapping[str, tuple[Sequence[Sequence[Evidence]], Sequence[Sequence[Evidence]]]] = {
    "no_evidence": (((),), ((Evidence(start_seconds=0, end_seconds=1, boxes=(_BOX,)),),)),
    "evidence_outside": (
        ((Evidence(start_seconds=9, end_seconds=30, boxes=(_BOX,)),),),
        ((Evidence(start_seconds=9, end_seconds=10, boxes=(_BOX,)),),),
    ),
    "box_outside": (
        ((Evidence(start_seconds=0, end_seconds=1, boxes=((0.0, 10.0, 10.0, 900.0, 40.0),)),),),
        ((Evidence(start_seconds=0, end_seconds=1, boxes=((0.0, 10.0, 10.0, 640.0, 360.0),)),),),
    ),
}


_READS = 700
"""Lines on which an invented model can read the answer."""
_AUDITED: Mapping[str, tuple[Sequence[Knows], Sequence[Knows]]] = {
    "answerable_blind": ((lambda p: True,), (lambda p: p.kind != "blind",)),
    "answerable_small": (
        (lambda p: p.kind != "blind",),
        (lambda p: p.kind != "blind" and (p.height is None or p.height > _READS),),
    ),
    "unanswerable_crop": (
        (lambda p: p.kind not in ("blind", "oracle-crop"),),
        (lambda p: p.kind != "blind",),
    ),
    "other_place": (
        (lambda p: p.kind != "blind",),
        (lambda p: p.kind not in ("blind", "elsewhere"),),
    ),
}
"""Check -> models that it must notice and models that it must let pass, by what they know."""


def run_controls() -> dict[str, Outcome]:
    """Check -> how it did on what it must notice and what it must let pass."""
    found = {}
    for name, (faulty, sound) in _FLAGGED.items():
        check = next(c for n, c in CHECKS.items() if n == name)
        found[name] = _outcome([check(*w) for w in faulty], [check(*w) for w in sound])
    found["same_choices"] = _outcome(*([same_choices(c) for _, c in part] for part in _SAME))
    found["letter_balance"] = _outcome(*([letter_balance(t, 4) for t in part] for part in _BALANCE))
    for code, (outside, inside) in _EVIDENCE.items():
        found[code] = _outcome(
            [_refused(each) == code for each in outside], [_refused(each) for each in inside]
        )
    for flag, parts in _AUDITED.items():
        found[flag] = _outcome(*([flag in _doubted(knows) for knows in part] for part in parts))
    return found


def _doubted(knows: Knows) -> set[str]:
    """The checks that an invented model's replies to an invented question set off."""
    media = Media(sha256="0" * 64, num_bytes=1)
    clip = Clip(
        clip_id="v",
        file=media,
        packets_sha256="0" * 64,
        start_pts=0,
        end_pts=100,
        ticks_per_second=1.0,
        start_seconds=0.0,
        duration_seconds=100.0,
        num_frames=2500,
        width=3840,
        height=2160,
        fps=25.0,
    )
    box = (40.0, 1000.0, 1000.0, 1200.0, 1060.0)
    draft = Draft(
        question_id="q",
        video_id="v",
        stem="Which number is on the bus beside the town hall?",
        choices=("117", "118", "119", "120"),
        evidence=(Evidence(start_seconds=40, end_seconds=60, boxes=(box,)),),
        author="control",
    )
    linted = Linted(draft=draft, category="av", clip=clip, group_id="v", flags=())
    rules = AuditRules(heights=(540, 1080, 2160))
    probes = probes_of(linted, rules, path="-")
    model = ModelId(name="control", kind="mllm")
    answers = {}
    for probe in probes:
        # It says the right option, or always the same wrong one.
        said = draft.choices[0] if knows(probe) else draft.choices[1]
        letter = chr(ord("A") + probe.choices.index(said))
        answers[probe.probe_id] = ProbeAnswer(probe_id=probe.probe_id, model=model, response=letter)
    _, flags = judge("control", linted, probes, answers, rules)
    return {flag.check for flag in flags}


def _outcome(faulty: Sequence[object], sound: Sequence[object]) -> Outcome:
    return Outcome(sum(map(bool, faulty)), len(faulty), sum(not x for x in sound), len(sound))


def _refused(evidence: Sequence[Evidence]) -> str | None:
    draft = Draft(
        question_id="q",
        video_id="v",
        stem="Which?",
        choices=("a", "b"),
        evidence=tuple(evidence),
        author="control",
    )
    try:
        check_evidence(draft, 10.0, 640, 360)
    except Ended as end:
        return end.code
    return None
