"""Ways of choosing which tokens of a video are worth encoding.

A selector orders the native tokens of every frame; the budget, the cut and the counting are ours.
It is an entry point of the group `hlvid.selectors`: a function of a `Chunk`, or a class whose
instances are called with the chunks of one video in turn. It sees frames, question text, budget and
seed, and never an answer or evidence.
"""

from gaze.selectors.budget import budget_tokens, share
from gaze.selectors.catalog import list_selectors, load, name_partner
from gaze.selectors.harness import Request, select, select_stream
from gaze.selectors.kept import Kept
from gaze.selectors.protocol import Choose, Chunk, Selector, SelectorInfo, selector

__all__ = [
    "Choose",
    "Chunk",
    "Kept",
    "Request",
    "Selector",
    "SelectorInfo",
    "budget_tokens",
    "list_selectors",
    "load",
    "name_partner",
    "select",
    "select_stream",
    "selector",
    "share",
]
