"""Which arms meet which, in which table; and the sentences that are derived from that."""

import pytest

from hlvid import datasets
from hlvid.statistics import Contrast, holm
from hlvid.types import ArmSettings
from leaderboard.compare import compare_groups
from leaderboard.effects import effect_table
from leaderboard.entries import find_runs, read_entries
from leaderboard.exams import read_exams
from leaderboard.findings import findings_of


def groups_in(folder, exam):
    entries, refusals = read_entries(find_runs([folder]), read_exams([exam]))
    assert not refusals
    return compare_groups(entries)


@pytest.fixture(scope="module")
def groups(wall):
    return groups_in(wall / "runs", wall / "exam")


@pytest.fixture(scope="module")
def reader(groups):
    return next(g for g in groups if g.entries[0].record.model.name == "ocr")


def effects_of(group, other):
    return [e for family in group.families if family.other == other for e in family.effects]


def test_runs_of_two_commands_never_meet(groups):
    for group in groups:
        assert len({entry.record.group_id for entry in group.entries}) == 1
        for family in group.families:
            for effect in family.effects:
                assert effect.arm in group.entries and effect.other in group.entries


def test_contrasts_are_never_mixed(reader):
    found = {(family.contrast, family.other) for family in reader.families}
    assert found == {(Contrast.ISO_INPUT, "off"), (Contrast.ISO_TOKEN, "random-matched")}
    for family in reader.families:
        assert {e.comparison.contrast for e in family.effects} == {family.contrast}


def test_every_arm_meets_off_once_whatever_its_seeds(reader):
    arms = [effect.arm.arm for effect in effects_of(reader, "off")]
    assert len(arms) == len(set(arms)) == 8
    control = next(
        e
        for e in effects_of(reader, "off")
        if e.arm.record.arm.seed == 0 and e.arm.arm == "random-matched:detail@0.1"
    )
    assert len(control.seed_differences) == 5


def test_random_matched_of_the_same_budget_is_the_control(reader):
    effects = effects_of(reader, "random-matched")
    assert {e.arm.record.arm.selector for e in effects} == {"detail", "text", "oracle"}
    for effect in effects:
        assert effect.other.record.arm.budget == effect.arm.record.arm.budget


def test_own_control_comes_before_that_of_another_selector(tmp_path, lab):
    exam = lab.exam(num_videos=4, per_video=2)
    datasets.write(tmp_path / "exam", exam)
    for selector in ("detail", "text", "random-matched:text", "random-matched:detail"):
        arm = ArmSettings(gaze="on", selector=selector, budget=0.1)
        lab.write(tmp_path / "runs", exam, "ocr", arm)
    (group,) = groups_in(tmp_path / "runs", tmp_path / "exam")
    controls = {e.arm.arm: e.other.arm for e in effects_of(group, "random-matched")}
    assert controls == {
        "detail@0.1": "random-matched:detail@0.1",
        "text@0.1": "random-matched:text@0.1",
    }
    assert not effects_of(group, "off")
    assert findings_of([group]) == ()


def test_only_gaze_arms_meet_random_tokens(tmp_path, lab):
    exam = lab.exam(num_videos=4, per_video=2)
    datasets.write(tmp_path / "exam", exam)
    gazing = ("detail", "random-matched:detail")
    found = [ArmSettings(gaze="on", selector=selector, budget=0.1) for selector in gazing]
    for arm in (
        ArmSettings(gaze="off"),
        ArmSettings(gaze="off", variant="evs", budget=0.1),
        *found,
    ):
        lab.write(tmp_path / "runs", exam, "qwen", arm)
    (group,) = groups_in(tmp_path / "runs", tmp_path / "exam")
    assert {e.arm.arm for e in effects_of(group, "off")} >= {"evs@0.1", "detail@0.1"}
    assert [e.arm.arm for e in effects_of(group, "random-matched")] == ["detail@0.1"]


@pytest.mark.parametrize("num_fewer", [0, 1])
def test_the_same_number_of_tokens_is_said_only_where_it_is(tmp_path, lab, num_fewer):
    exam = lab.exam()
    datasets.write(tmp_path / "exam", exam)
    text = ArmSettings(gaze="on", selector="text", budget=0.1)
    control = ArmSettings(gaze="on", selector="random-matched:detail", budget=0.1)
    for arm in (ArmSettings(gaze="off"), control):
        lab.write(tmp_path / "runs", exam, "ocr", arm)
    answers = lab.predictions(exam, lab.MODELS["ocr"], text)
    fewer = answers[0].tokens.visual - num_fewer
    tokens = answers[0].tokens.model_copy(update={"visual": fewer})
    answers = [answer.model_copy(update={"tokens": tokens}) for answer in answers]
    lab.write(tmp_path / "runs", exam, "ocr", text, answers=answers)
    (group,) = groups_in(tmp_path / "runs", tmp_path / "exam")
    (family,) = [f for f in group.families if f.other == "random-matched"]
    assert ("of the same number" in effect_table(family, number=1).caption) == (num_fewer == 0)
    (about,) = findings_of([group])
    told = "".join(finding.text + finding.basis for finding in about.sentences)
    assert ("as many random tokens" in told) == (num_fewer == 0)
    assert ("random-matched" in told) == (num_fewer == 0)


def test_p_values_are_adjusted_over_their_table(reader):
    for family in reader.families:
        raw = [e.comparison.accuracy.p_value for e in family.effects]
        assert [e.comparison.p_adjusted for e in family.effects] == holm(raw)


def test_unpaired_arms_are_named_not_compared(tmp_path, lab):
    exam = lab.exam(num_videos=4, per_video=2)
    datasets.write(tmp_path / "exam", exam)
    off, detail = ArmSettings(gaze="off"), ArmSettings(gaze="on", selector="detail", budget=0.1)
    lab.write(tmp_path / "runs", exam, "ocr", off)
    answers = lab.predictions(exam, lab.MODELS["ocr"], detail)
    moved = [answer.model_copy(update={"canvas_sha256": "9" * 64}) for answer in answers]
    lab.write(tmp_path / "runs", exam, "ocr", detail, answers=moved)
    (group,) = groups_in(tmp_path / "runs", tmp_path / "exam")
    assert group.families == ()
    (left_out,) = group.uncompared
    assert left_out.arm == "detail@0.1"
    assert "canvas digest" in left_out.reason


def test_row_says_what_the_comparison_found(reader):
    family = reader.families[0]
    table = effect_table(family, number=1)
    for effect, row in zip(family.effects, table.rows, strict=True):
        accuracy = effect.comparison.accuracy
        assert row.verdict == effect.comparison.verdict
        assert row.difference.value.lstrip("+−") == f"{abs(100 * accuracy.difference):.1f}"
        of_seeds = effect.arm.arm == "random-matched:detail@0.1"
        assert ("mean of 5 pairs of seeds" in row.seeds) == of_seeds
        counts = ("–", "–") if of_seeds else (str(accuracy.only_a), str(accuracy.only_b))
        assert (row.only_arm, row.only_other) == counts
        assert row.forest.low <= row.forest.at <= row.forest.high


def test_findings_follow_the_verdicts(groups):
    found = {about.subject: about for about in findings_of(groups)}
    assert not any("gold" in subject or "random-letter" in subject for subject in found)
    sentences = [finding.text for finding in found["ocr (PP-OCRv6) on street-signs"].sentences]
    assert sentences[0].startswith("With all tokens it is right in ")
    assert sentences[1].startswith("detail@0.1 keeps 10\u00a0% of the tokens and loses ")
    assert "as many random tokens do" in sentences[1]
    assert sentences[-1].startswith("Told where the evidence is, it reaches ")
    (blind,) = found["text-only (SmolLM2-135M) on street-signs"].sentences
    assert blind.text.startswith("Without seeing the video ")


def test_where_off_cannot_run_arms_meet_the_best_that_can(tmp_path, lab):
    exam = lab.exam(num_videos=4, per_video=2)
    datasets.write(tmp_path / "exam", exam)
    off = ArmSettings(gaze="off")
    lab.write(tmp_path / "runs", exam, "qwen", off, answers=[], status="infeasible", summary=None)
    for arm in (
        ArmSettings(gaze="off", variant="off-bare"),
        ArmSettings(gaze="off", variant="blind"),
        ArmSettings(gaze="on", selector="detail", budget=0.1),
    ):
        lab.write(tmp_path / "runs", exam, "qwen", arm)
    (group,) = groups_in(tmp_path / "runs", tmp_path / "exam")
    met = {e.arm.arm: e.other.arm for e in effects_of(group, "off")}
    assert met == {"detail@0.1": "off-bare", "blind": "off-bare"}
    captions = [effect_table(family, number=1).caption for family in group.families]
    assert all("off-bare, the best arm without gaze that could run" in c for c in captions)
    assert [left_out.arm for left_out in group.uncompared] == ["off"]
    assert findings_of([group]) == ()
