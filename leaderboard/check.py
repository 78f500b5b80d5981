"""`check`: all that is wrong with runs, as a list in which a problem of many runs stands once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from leaderboard import wording
from leaderboard.entries import Reading, Standing, Standings, read_all
from leaderboard.exams import Exam
from leaderboard.rules import REFUSING, Problem

MAX_NAMED = 5
"""Runs that a line names; more are counted."""


@dataclass(frozen=True)
class Finding:
    """One problem and the runs that have it."""

    problem: Problem
    runs: tuple[str, ...]

    @property
    def is_refusing(self) -> bool:
        """Whether the runs get no row at all."""
        return self.problem.rule in REFUSING


def check(
    folders: Sequence[Path], exams: Sequence[Exam], *, standings: Standings | None = None
) -> tuple[list[Reading], list[Finding]]:
    """Apply every rule to every run.

    Args:
        folders: Run folders.
        exams: What the runs were asked, as far as it is not found without.
        standings: What is published about them: of a withdrawn run nothing is told, of one that was
            published as self-reported only what refuses it.

    Returns:
        The readings, and the problems in the order in which they were found.
    """
    readings = [_to_tell(reading) for reading in read_all(folders, exams, standings=standings)]
    runs: dict[Problem, list[str]] = {}
    for reading in readings:
        for problem in reading.problems:
            runs.setdefault(problem, []).append(reading.name)
    return readings, [Finding(problem, tuple(names)) for problem, names in runs.items()]


def _to_tell(reading: Reading) -> Reading:
    """A reading with the problems that its standing does not account for."""
    standing = Standing() if reading.entry is None else reading.entry.standing
    if standing.withdrawn is not None:
        return replace(reading, problems=())
    if standing.is_self_reported:
        return replace(reading, problems=tuple(p for p in reading.problems if p.rule in REFUSING))
    return reading


def as_lines(findings: Sequence[Finding]) -> list[str]:
    """The findings for a terminal, one a line."""
    lines = []
    for finding in findings:
        names = [wording.plain(name, limit=60) for name in finding.runs[:MAX_NAMED]]
        more = len(finding.runs) - len(names)
        who = ", ".join(names) + (f" and {more} more" if more else "")
        said = wording.plain(finding.problem.message, limit=1000)
        lines.append(f"{finding.problem.rule}: {said} [{who}]")
    return lines


def as_json(readings: Sequence[Reading], findings: Sequence[Finding]) -> dict[str, Any]:
    """The findings for a script."""
    return {
        "num_runs": len(readings),
        "num_passed": sum(not reading.problems for reading in readings),
        "problems": [
            {
                "rule": finding.problem.rule,
                "message": finding.problem.message,
                "is_refusing": finding.is_refusing,
                "runs": list(finding.runs),
            }
            for finding in findings
        ],
    }
