"""What was kept of a video, as one HTML page that asks for nothing and runs nothing."""

import base64
import io
from collections.abc import Sequence

import jinja2
from PIL import Image

from gaze.show import Shown, caption, draw_frame, draw_plots, scale_colour, scale_names
from gaze.video import Gazed, table

PLOT_WIDTH = 1300


def render(shown: Sequence[Shown], gazed: Gazed, *, title: str) -> bytes:
    """The page: frames with what was kept of them, plots over time, and the numbers of every frame.

    Args:
        shown: Frames to draw, in order.
        gazed: What was kept of all sampled frames.
        title: Anything; it is escaped, as all else is.
    """
    kept = gazed.kept
    numbers = {frame.number for frame in shown}
    header, rows = table(gazed)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("gaze"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    names = scale_names(kept.cells[0]) if kept.cells else []
    page = environment.get_template("show.html").render(
        title=title,
        scales=[{"name": name, "colour": scale_colour(scale)} for scale, name in enumerate(names)],
        frames=[
            {
                "caption": caption(frame, kept),
                "image": _inline(draw_frame(frame, kept, token_share=gazed.token_share)),
            }
            for frame in shown
        ],
        plots=_inline(draw_plots(kept, gazed.frame_seconds, numbers, width=PLOT_WIDTH)),
        header=header,
        rows=rows,
    )
    return page.encode()


def _inline(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
