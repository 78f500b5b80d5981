"""Ways of choosing which tokens of a video are worth encoding.

A selector orders the native tokens of every frame; sharing the budget, cutting and counting are
ours. It is an entry point of the group `hlvid.selectors`: a function of a `Chunk`, or a class whose
instances are called with the chunks of one video in turn. It sees frames, budget and seed, and the
question's text where it says that it reads it (`@selector(reads_question=True)`); never an answer
or evidence. Only the built-in `oracle`, `transplanted` and `random-matched` are given more.

A budget is a number of tokens a video, shared equally over its frames and views (`share`). What
each selector does within that:

| selector         | its order                                      | exact within              |
|------------------|------------------------------------------------|---------------------------|
| autogaze         | as AutoGaze gazes at every view                | at most, each clip of one |
| autogaze-native  | as AutoGaze gazes at every quarter of a view   | at most, each clip of one |
| autogaze-finest  | as autogaze, of the finest cells alone         | at most, each clip of one |
| autogaze-union   | as autogaze, of all that any cell touches      | at most, each clip of one |
| autogaze-mask-coarse | as AutoGaze gazes at the finest cells alone | at most, each clip of one |
| all              | everything                                     | takes no budget           |
| random           | drawn by (seed, video, clip, view)             | each frame of each view   |
| uniform          | even raster steps, shifted from frame to frame | each frame of each view   |
| centre           | from the middle of every view                  | each frame of each view   |
| centre-frame     | from the middle of the frame                   | each frame                |
| detail           | largest gradient energy                        | each frame of each view   |
| text             | under detected text, then as detail            | each frame of each view   |
| change           | largest difference to the last kept value      | each clip of each view    |
| change-unbounded | largest difference to the previous frame       | takes a threshold instead |
| random-matched   | as random                                      | its partner's own counts  |
| transplanted     | a donor's choice, frame by frame in proportion | the video                 |
| oracle           | evidence, then as uniform                      | the video                 |

`change` and `autogaze` may move tokens between the frames of a clip; `oracle` may move them
anywhere, to be a ceiling for all others. `autogaze` stops by itself and may keep fewer than its
budget: 'detail:autogaze' is `detail` with exactly as many tokens as `autogaze` kept of the video.
"""

from gaze.selectors.budget import budget_tokens, share
from gaze.selectors.catalog import list_selectors, load, name_partner
from gaze.selectors.harness import Request, select, select_stream
from gaze.selectors.kept import Cells, Kept
from gaze.selectors.protocol import Choice, Choose, Chunk, Selector, SelectorInfo, selector

__all__ = [
    "Cells",
    "Choice",
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
