"""What was declared before a run decides what its pages call primary, and at which margin."""

import pytest

from hlvid import datasets
from hlvid.files import write_json
from hlvid.plans import Endpoint, Plan
from hlvid.runs import grade_run, read_run
from hlvid.statistics import Contrast, compare_group
from hlvid.types import ArmSettings, FrameSettings
from leaderboard.check import check
from leaderboard.compare import PLANNED, compare_groups
from leaderboard.entries import find_runs, read_entries
from leaderboard.exams import read_exams
from leaderboard.wording import p_value

OFF = ArmSettings(gaze="off")
DETAIL = ArmSettings(gaze="on", selector="detail", budget=0.1)
TEXT = ArmSettings(gaze="on", selector="text", budget=0.1)
CONTROL = ArmSettings(gaze="on", selector="random-matched:detail", budget=0.1)
ARMS = (OFF, DETAIL, TEXT, CONTROL)


@pytest.fixture
def declare(tmp_path, lab):
    """Write runs and, beside them, the plan that they name: (the plan, the exam)."""
    exam = lab.exam()
    datasets.write(tmp_path / "exam", exam)

    def write(*, arms=ARMS, is_named=True, **changes):
        primary = {"arm": DETAIL.name, "reference": "off", "contrast": Contrast.ISO_INPUT}
        plan = Plan(
            benchmark=exam.id,
            model=lab.MODELS["ocr"],
            frames=FrameSettings(num_frames=6),
            generation={"do_sample": False, "max_new_tokens": 16},
            seed=0,
            limit=None,
            arms=tuple(arm.name for arm in arms),
            primary=Endpoint.model_validate({**primary, "margin": 0.2, **changes}),
        )
        write_json(tmp_path / "runs" / "plan.json", plan)
        for arm in arms:
            sha256 = plan.sha256 if is_named else None
            lab.write(tmp_path / "runs", exam, "ocr", arm, plan_sha256=sha256)
        return plan, exam

    return write


def group_in(folder):
    entries, refusals = read_entries(find_runs([folder / "runs"]), read_exams([folder / "exam"]))
    assert not refusals
    (group,) = compare_groups(entries)
    return group


def family_of(group, other):
    (family,) = [family for family in group.families if family.other == other]
    return [effect.comparison for effect in family.effects]


def findings_in(folder):
    found = check(find_runs([folder / "runs"]), read_exams([folder / "exam"]))[1]
    return [(finding.problem.rule, finding.problem.message) for finding in found]


def test_the_table_is_what_the_one_place_of_comparing_gives(tmp_path, declare):
    plan, exam = declare()
    runs = [
        grade_run(read_run(folder), exam.questions) for folder in find_runs([tmp_path / "runs"])
    ]
    off = next(run for run in runs if run.record.arm == OFF)
    expected = {
        one.arm: one
        for one in compare_group(runs, off, margin=plan.primary.margin, primary=DETAIL.name)
    }
    found = family_of(group_in(tmp_path), "off")
    assert found[0].arm == DETAIL.name
    assert [one.is_primary for one in found] == [True, False, False]
    assert found[0].p_adjusted == found[0].accuracy.p_value
    for one in found:
        theirs = expected[one.arm]
        assert one.margin == 0.2
        for field in ("p_adjusted", "noninferiority_p", "verdict", "is_primary"):
            assert getattr(one, field) == getattr(theirs, field), (one.arm, field)


@pytest.mark.parametrize(("margin", "verdict"), [(0.9, "non-inferior"), (0.001, "worse")])
def test_the_plan_decides_what_is_no_worse(tmp_path, declare, lab, margin, verdict):
    declare(margin=margin)
    assert family_of(group_in(tmp_path), "off")[0].verdict == verdict
    site = lab.build_pages(tmp_path)
    page = lab.Reader((site / "index.html").read_text())
    said = "".join(page.text["p"])
    assert f"detail@0.1 against off (iso-input), no worse by {100 * margin:.1f} points" in said
    (row,) = [row for row in page.rows if row[:1] and "primary endpoint" in row[0]]
    assert row[3] == verdict
    (primary, *_) = next(f for f in group_in(tmp_path).families if f.other == "off").effects
    assert primary.holm > primary.comparison.p_adjusted or primary.holm == 1.0
    assert row[4:6] == [p_value(primary.comparison.p_adjusted), p_value(primary.holm)]
    found = "".join(page.text["li"])
    assert ("no worse than off by the declared margin" in found) == (verdict == "non-inferior")
    shown = "".join(path.read_text() for path in (site / "compare").iterdir())
    assert "primary endpoint by its plan, not adjusted; undeclared, Holm" in shown
    assert "their maker's word" in said or "their maker’s word" in said
    assert f"{100 * margin:.1f} points" in shown


def test_without_a_plan_nothing_is_non_inferior_and_the_page_says_why(tmp_path, declare, lab):
    declare(is_named=False, margin=0.9)
    assert findings_in(tmp_path) == []
    found = [e.comparison for family in group_in(tmp_path).families for e in family.effects]
    assert {one.margin for one in found} == {None}
    assert "non-inferior" not in {one.verdict for one in found}
    assert not any(one.is_primary for one in found)
    page = lab.Reader((lab.build_pages(tmp_path) / "index.html").read_text())
    assert "No plan was declared before these runs" in "".join(page.text["p"])


def test_a_pair_that_no_other_table_has_is_compared(tmp_path, declare):
    declare(arm=DETAIL.name, reference=TEXT.name, contrast=Contrast.ISO_TOKEN)
    group = group_in(tmp_path)
    (one,) = family_of(group, PLANNED)
    assert (one.arm, one.reference, one.is_primary) == (DETAIL.name, TEXT.name, True)
    assert group.primary.comparison is one


@pytest.mark.parametrize(
    "change", [{"contrast": Contrast.ISO_TOKEN}, {"arm": "change@0.1"}, {"reference": "<b>"}]
)
def test_what_did_not_come_about_is_not_called_primary(tmp_path, declare, lab, change):
    declare(**change)
    group = group_in(tmp_path)
    assert group.primary is None
    assert {one.p_adjusted == one.accuracy.p_value for one in family_of(group, "off")} != {True}
    text = (lab.build_pages(tmp_path) / "index.html").read_text()
    assert "No such comparison came of these runs" in "".join(lab.Reader(text).text["p"])
    assert "<b>" not in text.replace("<b>Table", "").replace("<b>Figure", "")


def away(folder, plan):
    (folder / "plan.json").unlink()


def edit(folder, plan):
    path = folder / "plan.json"
    path.write_text(path.read_text().replace('"margin": 0.2', '"margin": 0.9'))


def damage(folder, plan):
    (folder / "plan.json").write_text('{"margin": NaN}')


def link(folder, plan):
    (folder / "plan.json").rename(folder.parent / "elsewhere.json")
    (folder / "plan.json").symlink_to(folder.parent / "elsewhere.json")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (away, "no plan.json of that digest lies"),
        (edit, "no plan.json of that digest lies"),
        (damage, "plan.json: "),
        (link, "plan.json: is a link"),
    ],
)
def test_a_plan_that_cannot_be_believed_declares_nothing(tmp_path, declare, lab, spoil, reason):
    plan, _ = declare()
    spoil(tmp_path / "runs", plan)
    ((rule, message),) = findings_in(tmp_path)
    assert rule == "plan" and reason in message
    assert str(tmp_path) not in message
    assert group_in(tmp_path).plan is None
    page = lab.Reader((lab.build_pages(tmp_path) / "index.html").read_text())
    assert "Not all of these runs show the plan" in "".join(page.text["p"])


def test_arms_of_a_group_have_one_plan(tmp_path, declare, lab):
    _, exam = declare(arms=(OFF, DETAIL))
    lab.write(tmp_path / "runs", exam, "ocr", TEXT)
    ((rule, message),) = findings_in(tmp_path)
    assert rule == "plan" and "plan_sha256 is not given, that of off" in message
    assert group_in(tmp_path).plan is None


def test_a_plan_of_another_exam_is_told(tmp_path, declare, lab):
    plan, exam = declare(arms=())
    lab.write(tmp_path / "runs", exam, "qwen", OFF, plan_sha256=plan.sha256)
    ((rule, message),) = findings_in(tmp_path)
    assert rule == "plan" and "is of another exam" in message


def test_the_plan_is_published_with_the_runs(tmp_path, declare, lab, run_command):
    plan, _ = declare()
    code, _, err = run_command(
        "add", tmp_path / "runs", "--questions", tmp_path / "exam",
        "--results", tmp_path / "results",
    )  # fmt: skip
    assert code == 0, err
    entries, _ = read_entries(find_runs([tmp_path / "results"]), read_exams([tmp_path / "exam"]))
    assert len(entries) == len(ARMS)
    assert [entry.plan for entry in entries] == [plan] * len(ARMS)
    assert not any(entry.problems for entry in entries)
