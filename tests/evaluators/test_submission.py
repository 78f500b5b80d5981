"""What the evaluators write, the leaderboard takes: a real run keeps every rule for submissions."""

import pytest
from typer.testing import CliRunner

from evaluators.arms import plan_arms
from evaluators.engine import quiet
from evaluators.run import Settings, run
from evaluators.variants import plan_variants
from leaderboard.cli import app
from leaderboard.entries import find_runs, read_entries
from leaderboard.exams import read_exams
from leaderboard.stages import stage_table

quiet()

GAZING = plan_arms("both", ["detail", "random-matched"], budgets=[0.1])
ALSO = ("off-stock", "off-bare", "blind", "context-only", "evs@0.5", "after-tower:detail@0.1")


@pytest.fixture(scope="module")
def sat(tiny, tmp_path_factory):
    """Runs of an MLLM with random values."""
    out = tmp_path_factory.mktemp("runs")
    settings = Settings(
        model="qwen",
        benchmark=str(tiny),
        data=None,
        out=out,
        arms=plan_variants(ALSO, GAZING),
        num_frames=3,
        limit=2,
        options={"weights": "small-qwen3-vl", "load_format": "dummy", "device": "cpu"},
    )
    done = run(settings, ["hlvid-eval", "--model", "qwen"])
    return [folder for _, folder in done]


def test_runs_of_an_mllm_break_no_rule(sat, tiny):
    words = ["check", *map(str, sat), "--questions", str(tiny)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output


def test_the_tower_is_a_stage_of_its_own(sat, tiny):
    entries, refusals = read_entries(find_runs(sat), read_exams([tiny]))
    assert not refusals
    table = stage_table(entries, iter(range(1, 2)))
    assert {"decode", "gaze", "encode", "prefill", "generate"} <= set(table.stages)
    assert "other" not in table.stages
