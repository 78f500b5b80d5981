"""The stages in their order, and the verbs of the command that run them."""

from typing import Any

from hlvid.build.adjudicate import ADJUDICATE
from hlvid.build.audit import AUDIT
from hlvid.build.clip import CLIP
from hlvid.build.dedup import DEDUP, FINGERPRINT, MATCH
from hlvid.build.discover import DISCOVER, LIST
from hlvid.build.fetch import FETCH
from hlvid.build.index import INDEX
from hlvid.build.lint import LINT
from hlvid.build.probe import PROBE
from hlvid.build.select import SELECT
from hlvid.build.stage import Stage

STAGES: tuple[Stage[Any, Any], ...] = (
    LIST,
    DISCOVER,
    SELECT,
    FETCH,
    PROBE,
    CLIP,
    INDEX,
    FINGERPRINT,
    MATCH,
    DEDUP,
    LINT,
    AUDIT,
    ADJUDICATE,
)
CANDIDATE_STAGES: tuple[Stage[Any, Any], ...] = (DISCOVER, SELECT, FETCH, PROBE, CLIP)
"""Whose items are candidates."""
CLIP_STAGES: tuple[Stage[Any, Any], ...] = (INDEX, FINGERPRINT, DEDUP)
"""Whose items are clips."""
QUESTION_STAGES: tuple[Stage[Any, Any], ...] = (LINT, AUDIT, ADJUDICATE)
"""Whose items are questions."""

VERBS: dict[str, tuple[Stage[Any, Any], ...]] = {
    "discover": (LIST, DISCOVER),
    "select": (SELECT,),
    "fetch": (FETCH,),
    "probe": (PROBE,),
    "clip": (CLIP,),
    "index": (INDEX,),
    "dedup": (FINGERPRINT, MATCH, DEDUP),
    "lint": (LINT,),
    "audit": (AUDIT,),
    "adjudicate": (ADJUDICATE,),
}
"""Verb -> what it runs. The command's help repeats the names, so as to import nothing."""


def by_name(name: str) -> Stage[Any, Any]:
    """The stage of a name that `STAGES` has."""
    return next(stage for stage in STAGES if stage.name == name)
