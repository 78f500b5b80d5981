"""lmms-eval's side of the room: turns its requests into items, and answers all of them at once.

The stock evaluator pools the requests of all sibling tasks, one an arm, into one call. So one
object sees every arm of every question, and can sit them side by side.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lmms_eval.api.instance import Instance
from lmms_eval.api.model import lmms

from evaluators import variants
from evaluators.arms import from_generation_kwargs
from evaluators.gazing import Donors
from evaluators.item import Item
from evaluators.models import find
from evaluators.room import Room
from evaluators.sitting import sit
from evaluators.task import to_question
from gaze.reading import send_nothing
from hlvid.console import say
from hlvid.errors import UserError
from hlvid.types import Prediction

PADDING = "__padding_only__"
"""lmms-eval's mark on requests that only keep several processes in step."""


class Paired(lmms):  # type: ignore[misc]
    """All arms of one model.

    Args:
        room: Where the exam is sat.
    """

    is_simple = False

    def __init__(self, room: Room | None = None) -> None:
        super().__init__()
        self.room = room
        self.device: Any = "cpu"
        self.predictions: dict[tuple[str, str], Prediction] = {}

    def clean(self) -> None:
        """Keep the weights: lmms-eval's own `clean` deletes every network after an evaluation."""

    def generate_until(self, requests: Sequence[Instance]) -> list[str]:
        """Answer requests of any number of arms.

        Returns:
            A response for each, in order; empty where there is none, which no marking takes for an
            answer. What happened stands in `predictions`.
        """
        items = [None if r.metadata.get(PADDING) else self._item(r) for r in requests]
        room = self.room or self._open_room(requests)
        self.predictions = sit(room, [item for item in items if item is not None])
        return ["" if item is None else self.predictions[item.key].response or "" for item in items]

    def loglikelihood(self, requests: Sequence[Instance]) -> list[tuple[float, bool]]:
        """Refused: our tasks ask for text."""
        raise UserError("hlvid models: answer tasks of output_type generate_until only.")

    def generate_until_multi_round(self, requests: Sequence[Instance]) -> list[str]:
        """Refused: our tasks ask once."""
        raise UserError("hlvid models: answer tasks of output_type generate_until only.")

    def _item(self, request: Instance) -> Item | None:
        _, doc_to_messages, generation_kwargs, doc_id, task, split = request.args
        doc = self.task_dict[task][split][doc_id]
        if doc.get("is_padding"):
            return None
        question, arm = self._question(doc, task), from_generation_kwargs(generation_kwargs)
        arm = variants.from_generation_kwargs(arm, generation_kwargs)
        try:
            (turn,) = doc_to_messages(doc)
        except UserError as error:
            return Item(question, arm, None, str(error))
        parts = {part["type"]: part for part in turn["content"]}
        sent = question.model_copy(update={"text": parts["text"]["text"]})
        return Item(sent, arm, Path(parts["video"]["url"]))

    @staticmethod
    def _question(doc: Mapping[str, Any], task: str) -> Any:  # noqa: ANN401
        try:
            return to_question(doc)
        except KeyError as error:
            raise UserError(
                f"task {task}: its rows have no {error}. hlvid models sit hlvid's own tasks."
            ) from None

    def _open_room(self, requests: Sequence[Instance]) -> Room:
        raise UserError("hlvid models: there is no room to sit in.")


class StockPaired(Paired):
    """A model that stock lmms-eval makes from `--model_args frames=6,seed=0`.

    Args:
        frames: To sample from a video.
        seed: Of selectors, of the order of arms, of models that draw.
        scratch: Folder for decoded frames.
        batch_size: Of lmms-eval; questions are answered one at a time.
        max_batch_size: Of lmms-eval; has no effect.
        device: Of lmms-eval; has no effect.
        options: What else the model takes: weights, load_format, canvas, pairing.

    Raises:
        UserError: The model does not take an option, or lacks what it needs.
    """

    model_name: str

    def __init__(
        self,
        frames: int = 16,
        seed: int = 0,
        scratch: str = "",
        batch_size: int | str | None = 1,
        max_batch_size: int | None = None,
        device: str | None = None,
        **options: str,
    ) -> None:
        super().__init__()
        send_nothing()
        self._examinee = find(self.model_name).make(seed=seed, options=options)
        self._frames = self._examinee.shape.settings(frames)
        self._seed = seed
        self._scratch = Path(scratch or tempfile.gettempdir())

    def generate_until(self, requests: Sequence[Instance]) -> list[str]:
        """Answer, and say what failed: in lmms-eval's own table a failure is a wrong answer.

        Raises:
            SystemExit: Every question failed, most likely for want of the videos.
        """
        responses = super().generate_until(requests)
        errors = [p.error for p in self.predictions.values() if p.error is not None]
        for error in dict.fromkeys(errors):
            say(f"{errors.count(error)} questions FAILED: {error}")
        if errors and len(errors) == len(self.predictions):
            raise SystemExit(f"error: {errors[0]}")
        return responses

    def _open_room(self, requests: Sequence[Instance]) -> Room:
        videos: dict[str, Path | None] = {}
        questions: dict[str, str] = {}
        for dataset in self.task_dict.values():
            for rows in dataset.values():
                for doc in rows:
                    videos[doc["video_id"]] = Path(doc["video"]) if doc["video"] else None
                    questions.setdefault(doc["video_id"], doc["text"])
        donors = Donors(
            videos,
            questions,
            num_frames=self._frames.num_frames,
            scratch=self._scratch,
            seed=self._seed,
            shape=self._examinee.shape,
        )
        return Room(
            examinee=self._examinee,
            frames=self._frames,
            seed=self._seed,
            donors=donors,
            scratch=self._scratch,
        )
