"""The table of a run's answers: a row a question, or a video where there are very many.

Its rows are built without a template: a site may have hundreds of thousands.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

from hlvid.statistics.columns import OUTCOMES
from hlvid.types import Outcome, Question
from leaderboard import wording
from leaderboard.entries import Entry
from leaderboard.exams import Exam
from leaderboard.measures import END_TO_END
from leaderboard.pictures import Album, Picture
from leaderboard.tables import NOTHING

MAX_DETAILED = 600
"""With more questions, a row is a video."""
MARKS = {
    Outcome.CORRECT: "\N{CHECK MARK}",
    Outcome.WRONG: "\N{MULTIPLICATION X}",
    Outcome.UNPARSED: "?",
    Outcome.FAILED: "!",
}


@dataclass(frozen=True)
class Outcomes:
    """What a page prints of a run's answers."""

    note: str
    is_by_video: bool
    has_text: bool
    has_pictures: bool
    rows: Markup


def is_by_question(entry: Entry) -> bool:
    """Whether each question of a run has a row of its own."""
    return len(entry.columns) <= MAX_DETAILED


def outcomes_of(entry: Entry, exam: Exam, album: Album | None) -> Outcomes:
    """The table of a run's answers.

    Args:
        entry: The run.
        exam: What it was asked.
        album: Pictures of the evidence; None where the questions may not be shown at all.
    """
    if not is_by_question(entry):
        note = "One row a video: its questions in the order of their ids, with the letter given."
        return Outcomes(note, True, False, False, _by_video(entry))
    asked = {q.question_id: q for q in exam.questions}
    if album is None:
        note = "One row a question. The licence of the questions does not allow showing them."
        return Outcomes(note, False, False, False, _by_question(entry, {}, {}))
    ids = entry.columns.question_ids
    pictures = {key: album.pictures[key] for key in ids if key in album.pictures}
    note = f"One row a question. Licence of the questions: {wording.plain(exam.license)}."
    with_evidence = [key for key in ids if asked[key].evidence]
    if pictures:
        note += " A picture shows the evidence in the middle of its time, cut from the video."
    if num_without := len(with_evidence) - len(pictures):
        note += (
            f" {wording.counted(num_without, 'question')} of {wording.count(len(with_evidence))} "
            "with evidence have no picture of it: the licence of the video does not allow one, or "
            "the video was not at hand where this page was built, or could not be read."
        )
    return Outcomes(note, False, True, bool(pictures), _by_question(entry, asked, pictures))


def _by_question(
    entry: Entry, asked: Mapping[str, Question], pictures: Mapping[str, Picture]
) -> Markup:
    """A row a question, with what was asked and its evidence where these are given."""
    columns = entry.columns
    times = columns.stage_ms.get(END_TO_END, np.full(len(columns), np.nan))
    rows = []
    for i, question_id in enumerate(columns.question_ids):
        outcome = OUTCOMES[columns.outcomes[i]]
        cover = columns.spatial_cover[i]
        cells = [
            f'<th scope="row"><code>{escape(question_id)}</code></th>',
            f'<td class="text">{_safe(columns.categories[i])}</td>',
            f"<td>{escape(columns.letters[i].decode()) or NOTHING}</td>",
            f'<td class="text {outcome.value}">{MARKS[outcome]} {outcome.value}</td>',
            f"<td>{_seconds(times[i])}</td>",
            f"<td>{_count(columns.visual[i])}</td>",
            f"<td>{NOTHING if np.isnan(cover) else wording.percent(float(cover), digits=0)}</td>",
        ]
        if asked:
            cells.append(f'<td class="text stem">{_question(asked[question_id])}</td>')
        if pictures:
            cells.append(f"<td>{_image(pictures.get(question_id))}</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return Markup("\n".join(rows))


def _question(question: Question) -> Markup:
    pairs = zip(question.letters, question.choices, strict=True)
    choices = "; ".join(f"{letter}: {wording.plain(choice, limit=100)}" for letter, choice in pairs)
    return Markup("{}<small>{}</small>").format(_safe(question.stem), choices)


def _image(picture: Picture | None) -> str:
    if picture is None:
        return NOTHING
    data = base64.b64encode(picture.jpeg).decode()
    return (
        f'<img src="data:image/jpeg;base64,{data}" width="{picture.width}" '
        f'height="{picture.height}" alt="Evidence at {wording.number(picture.seconds)} seconds">'
    )


def _seconds(milliseconds: float) -> Markup:
    """A time; a very short one has a sign that must be escaped."""
    return escape(NOTHING if np.isnan(milliseconds) else wording.seconds(float(milliseconds)))


def _count(value: float) -> str:
    return NOTHING if not np.isfinite(value) else wording.number(float(value), digits=0)


def _by_video(entry: Entry) -> Markup:
    """A row a video: the letters given, each with its mark."""
    columns = entry.columns
    marks = [MARKS[outcome] for outcome in OUTCOMES]
    letters = columns.letters.tolist()
    together: dict[str, list[int]] = {}
    for i, video_id in enumerate(columns.video_ids):
        together.setdefault(video_id, []).append(i)
    outcomes = columns.outcomes.tolist()
    correct = OUTCOMES.index(Outcome.CORRECT)
    rows = []
    for video_id, places in together.items():
        right = sum(outcomes[i] == correct for i in places)
        given = " ".join(f"{letters[i].decode()}{marks[outcomes[i]]}" for i in places)
        rows.append(
            f'<tr><th scope="row"><code>{escape(video_id)}</code></th>'
            f'<td>{right} of {len(places)}</td><td class="text">{escape(given)}</td></tr>'
        )
    return Markup("\n".join(rows))


def _safe(text: str) -> Markup:
    return escape(wording.plain(text, limit=300))
