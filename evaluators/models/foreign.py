"""Any model of lmms-eval's own, asked with our frames: local ones, and endpoints over HTTP.

It is given the sampled frames as images, so that decoding, sampling and size are those of every
other examinee. Which visual tokens it makes of them is its own affair: gaze has no meaning for it.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from PIL import Image

from evaluators.canvas import SOURCE, Shape, parse_canvas
from evaluators.examinee import Answer, Examinee, Infeasible, View
from evaluators.models import FOREIGN
from evaluators.task import GENERATION
from evaluators.timing import GENERATE, Stopwatch
from hlvid.errors import UserError
from hlvid.grading import is_failure
from hlvid.types import ModelId, Question

TASK, SPLIT = "hlvid", "test"
_SECRET = re.compile(
    r"(?i)(.*_)?(api_?key|password|passwd|secret|credentials?|authorization|bearer)(_.*)?"
    r"|((hf|hub|auth|access|api|bearer|session|secret)_?)?token"
)
"""Names of arguments whose values must not get into a record."""


class LmmsEval(Examinee):
    """`--model lmms-eval --model-args model=openai,model_version=NAME,base_url=http://...`.

    Args:
        seed: Of the run; not used.
        model_args: 'model=NAME' of a model of lmms-eval's, then that model's own arguments.
        canvas: Of the images it is given: 'source', 'WIDTHxHEIGHT', or 'Np' for a shorter side of N
            at most.

    Raises:
        UserError: There is no such model, or it cannot be made.
    """

    sees_video = True
    forgets = True
    options = ("model_args", "canvas")

    def __init__(self, *, seed: int, model_args: str = "", canvas: str = "source") -> None:
        del seed
        name, given = _read(model_args)
        fit = parse_canvas(canvas, "source")
        self.shape = SOURCE if canvas == "source" else Shape(canvas=canvas, fit=fit)
        self._network = _make(name, given)
        self.model = ModelId(
            name=FOREIGN,
            kind="mllm",
            weights=":".join([name, *(given[k] for k in _NAMES if k in given)]),
            load_format="own",
        )
        self.settings = {"model_args": model_args}

    def watch(self, view: View, clock: Stopwatch) -> list[Image.Image]:
        """The frames as images.

        Raises:
            Infeasible: The arm leaves something out.
        """
        if view.arm.gaze == "on":
            raise Infeasible("a model of lmms-eval's own sees whole frames. Use --gaze off.")
        with clock.stage("preprocess"):
            return [Image.fromarray(view.canvas.pixels[i]) for i in range(view.canvas.num_frames)]

    def count(self, view: View, notes: list[Image.Image]) -> None:
        """Not known: what becomes of the images is the model's own."""

    def answer(self, question: Question, notes: list[Image.Image], clock: Stopwatch) -> Answer:
        """Ask it one question.

        Raises:
            UserError: The model says that the request failed: that is no answer.
        """
        from lmms_eval.api.instance import Instance

        doc = {"text": question.text}
        kwargs = dict(GENERATION)
        self._network.task_dict = {TASK: {SPLIT: [doc]}}
        place = (0, TASK, SPLIT)

        def to_messages(doc: Mapping[str, str]) -> list[dict[str, Any]]:
            content: list[dict[str, Any]] = [{"type": "image", "url": one} for one in notes]
            content.append({"type": "text", "text": doc["text"]})
            return [{"role": "user", "content": content}]

        if self._network.is_simple:
            arguments: tuple[Any, ...] = (question.text, kwargs, lambda doc: notes, *place)
        else:
            arguments = (question.text, to_messages, kwargs, *place)
        metadata = {"task": TASK, "doc_id": 0, "repeats": 1}
        with clock.stage(GENERATE):
            (reply,) = self._network.generate_until(
                [Instance("generate_until", arguments, 0, metadata)]
            )
        response = str(getattr(reply, "text", reply))
        if is_failure(response):
            raise UserError(" ".join(response.split())[:300], exit_code=1)
        return Answer(response)


_NAMES = ("model_version", "pretrained", "model_name")
"""Arguments by which models of lmms-eval's name their weights."""


def _read(model_args: str) -> tuple[str, dict[str, str]]:
    """The model's name and its arguments."""
    given: dict[str, str] = {}
    for part in filter(None, model_args.split(",")):
        key, sign, value = part.partition("=")
        if not sign:
            raise UserError(f"--model-args: {part!r} cannot be read. Allowed is K=V,... .")
        if _SECRET.fullmatch(key.strip()) or _holds_secret(value):
            raise UserError(
                f"--model-args: what {key} holds would stand in the record. Put secrets into the "
                "environment (OPENAI_API_KEY, HF_TOKEN), and give addresses without a user name or "
                "a query."
            )
        given[key.strip()] = value
    name = given.pop("model", "")
    if not name or name.startswith("hlvid_"):
        raise UserError(
            f"--model-args: model={name!r} is not allowed. Name one of lmms-eval's own, such as "
            "model=openai,model_version=NAME; ours are named by --model."
        )
    return name, given


def _holds_secret(value: str) -> bool:
    """Whether a value is an address with a user name, a password or a query."""
    try:
        parts = urlsplit(value.strip())
    except ValueError:
        return "://" in value
    return "://" in value and ("@" in parts.netloc or bool(parts.query))


def _make(name: str, given: Mapping[str, str]) -> Any:  # noqa: ANN401
    from lmms_eval.models import get_model

    text = ",".join(f"{key}={value}" for key, value in given.items())
    try:
        return get_model(name).create_from_arg_string(text, {"batch_size": 1})
    except Exception as error:  # noqa: BLE001 - whatever a stranger's constructor raises
        told = " ".join(str(error).split())[:300]
        raise UserError(
            f"--model-args: lmms-eval's model {name!r} cannot be made ({told})."
        ) from None
