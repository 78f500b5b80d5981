"""How an item can end other than by passing: one code a cause, and what the run does about it."""

import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from hlvid.errors import UserError
from hlvid.files import shown

_MAX_DETAIL_CHARACTERS = 300


class State(StrEnum):
    """What became of an item in one stage."""

    PASSED = "passed"
    REJECTED = "rejected"
    """A rule of the spec does not want it."""
    FAILED = "failed"
    """It could not be had; trying again may help."""
    QUARANTINED = "quarantined"
    """It is there and damaged, or not what it seems; a person should look."""
    TOMBSTONED = "tombstoned"
    """It was taken down: its media are gone, its id stays."""


@dataclass(frozen=True)
class Code:
    """One cause.

    Args:
        state: Where it puts the item.
        advice: What a person can do.
        is_retried: The next run tries again by itself.
        stops: The run ends: going on would make it worse, or is useless until a person acts.
    """

    state: State
    advice: str
    is_retried: bool = False
    stops: bool = False


def _rejected(advice: str) -> Code:
    return Code(State.REJECTED, advice)


def _failed(advice: str) -> Code:
    return Code(State.FAILED, advice)


def _later(advice: str) -> Code:
    return Code(State.FAILED, advice, is_retried=True)


def _operator(advice: str) -> Code:
    return Code(State.FAILED, advice, is_retried=True, stops=True)


def _quarantined(advice: str) -> Code:
    return Code(State.QUARANTINED, advice)


_BY_SPEC = "The spec does not want it; change the spec to have it."
_BY_SITE = "The site does not give it out; nothing to do."
_DAMAGED = "Look at the file; if its source was mended, say: fetch --retry CODE."

CODES: dict[str, Code] = {
    # rules of the spec
    "too_short": _rejected(_BY_SPEC),
    "too_low": _rejected(_BY_SPEC),
    "no_uhd_format": _rejected("The source has no such format; nothing weaker is taken."),
    "hdr": _rejected(_BY_SPEC),
    "codec": _rejected(_BY_SPEC),
    "bit_depth": _rejected(_BY_SPEC),
    "license": _rejected(_BY_SPEC),
    "variable_rate": _rejected(_BY_SPEC),
    "no_clip": _rejected("No two keyframes lie about target_seconds apart."),
    "duplicate": _rejected("It shows what another clip shows; the first of them is kept."),
    "live": _rejected("A running broadcast has no end; discover it again later."),
    "upcoming": _rejected("It is not out yet; discover it again later."),
    "drm": _rejected(_BY_SITE),
    # what a site or server says
    "removed": _failed(_BY_SITE),
    "removed_uploader": _failed(_BY_SITE),
    "removed_tos": _failed(_BY_SITE),
    "account_terminated": _failed(_BY_SITE),
    "copyright_block": _failed(_BY_SITE),
    "geo_blocked": _failed("It is not shown in this country; no way round is tried."),
    "private": _failed(_BY_SITE),
    "members_only": _failed(_BY_SITE),
    "premium": _failed(_BY_SITE),
    "age_gate": _failed("Decide whether to fetch it with cookies (--cookies), then --retry."),
    "login_required": _failed("Decide whether to fetch it with cookies (--cookies), then --retry."),
    "forbidden": _failed("The server refuses; ask its owner, then --retry."),
    "unsupported_site": _failed("yt-dlp does not know this address; give a direct URL."),
    "format_gone": _failed("The format that was discovered is no longer there; discover again."),
    "wrong_type": _failed("The address gives no video; mend it in the spec."),
    "encoded": _failed("The server compresses the file; ask for it plain."),
    "length_unknown": _failed("Name num_bytes or sha256 in the spec, so that the end is known."),
    "too_large": _failed("Raise fetch.max_bytes, or leave it out."),
    "redirect_loop": _failed("The address leads nowhere; mend it in the spec."),
    "source_changed": _failed(
        "Its bytes are not those that are known; fetch --accept-equivalent takes them where they "
        "show the same."
    ),
    "file_missing": _failed("Put the file where the spec says, then --retry."),
    "rate_limited": _later("Wait; the next run goes on."),
    "network": _later("The next run tries again."),
    "content_too_short": _later("The next run tries again."),
    "fragment_missing": _later("The next run tries again."),
    "media_missing": _later("Run the stage that makes it again."),
    "unknown": _failed("Not understood; the journal's note has the words. Then --retry."),
    "io_error": _later("A disk, here or on the network, failed it; the next run tries again."),
    "no_memory": _later("Run it with fewer --workers, or more memory; the next run tries again."),
    # what only a person can mend
    "bot_check": _operator("The site takes this machine for a robot: wait, or fetch elsewhere."),
    "format_missing_runtime": _operator("Install a JavaScript runtime for yt-dlp (deno or node)."),
    "disk_full": _operator("Free some space; the same command goes on."),
    # what decoding says
    "not_a_video": _quarantined(_DAMAGED),
    "truncated": _quarantined(_DAMAGED),
    "decode_corrupt": _quarantined(_DAMAGED),
    "duration_mismatch": _quarantined(
        "Look at the file: if it is whole, name it in probe.let_through; once its source is "
        "mended, say: fetch --retry duration_mismatch."
    ),
    "upscaled": _quarantined(
        "It looks like a smaller video made larger, or out of focus. Look at it: if its detail is "
        "real, name it in probe.let_through."
    ),
    "worker_killed": _quarantined("It ended its worker (memory?); --retry with more memory."),
    "defect": _quarantined("A defect of this program; the journal's note has the words."),
    # questions
    "video_missing": _later("Its clip is not there yet: run the media stages."),
    "video_rejected": _rejected(
        "Its clip did not come through; take the question out, or mend it."
    ),
    "malformed": _rejected("Mend the question's text."),
    "same_choices": _rejected("Mend the question's options."),
    "no_evidence": _rejected("Mark where the answer can be seen."),
    "evidence_outside": _rejected("Mark the evidence again: it points past the video's end."),
    "box_outside": _rejected("Mark the evidence again: a box reaches out of the frame."),
    "unanswered": _later("Ask the models: hlvid-build audit."),
    "needs_replies": _later("Have it answered blind: hlvid-build annotate export --kind answer."),
    "disputed": _quarantined("Rule on it: hlvid-build rule."),
    "ruled_out": _rejected("A person ruled against it."),
    # taken down
    "takedown": Code(State.TOMBSTONED, "It was taken down; it will not come back."),
}
"""Every code that an entry may carry."""
OF_THE_SOURCE = ("not_a_video", "truncated", "decode_corrupt", "duration_mismatch", "upscaled")
"""What a file is found to be after it was fetched, and another one in its place may not be."""
UNEXPECTED = ("worker_killed", "defect")
"""Under quarantine, but nothing that a look at the video explains: a run with them has failed."""


class Ended(Exception):
    """An item ends here, for a cause that is known.

    Args:
        code: A key of `CODES`.
        detail: What was found, the same on every machine: no path, no clock. Cleaned here.
        note: What the journal keeps beside it and no manifest shows.
        after_seconds: How long a server asked to be left alone, where it said so.
    """

    def __init__(
        self, code: str, detail: str = "", *, note: str = "", after_seconds: float | None = None
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.state = CODES[code].state
        self.detail = clean(detail, max_characters=_MAX_DETAIL_CHARACTERS)
        self.note = clean(note, max_characters=2000)
        self.after_seconds = after_seconds


def clean(text: str, *, max_characters: int) -> str:
    """Text from outside on one line: NFC, no control or format characters, cut to a length."""
    kept = (" " if unicodedata.category(c)[0] in "CZ" else c for c in text)
    return unicodedata.normalize("NFC", " ".join("".join(kept).split()))[:max_characters].rstrip()


@contextmanager
def as_sentence(where: str) -> Iterator[None]:
    """Outside of a stage, what would end an item ends the command.

    Args:
        where: What the sentence begins with, such as 'package: clip a.0-300'.

    Raises:
        UserError: For an `Ended`, with the advice of its code.
    """
    try:
        yield
    except Ended as end:
        found = f"{end.code} ({end.detail})" if end.detail else end.code
        raise UserError(f"{where}: {found}. {CODES[end.code].advice}", exit_code=1) from None


def check_codes(names: tuple[str, ...]) -> None:
    """Refuse a code that does not exist.

    Raises:
        UserError: Naming those that do.
    """
    for name in names:
        if name not in CODES:
            raise UserError(
                f"--retry: {shown(name)} is not a code. Allowed are {', '.join(sorted(CODES))}."
            )
