"""NVILA-8B-HD-Video through the processor and the model that are published with its weights.

Their code needs the user's --trust-remote-code. It gazes by AutoGaze, no other selector: a budget
is its gazing ratio for tiles, a threshold its loss requirement; else the recipe holds.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from evaluators.canvas import Shape
from evaluators.examinee import Answer, Examinee, Infeasible, View
from evaluators.models.hub import describe, find_folder, tell_missing
from evaluators.models.loading import load_whole, loading
from evaluators.task import GENERATION
from evaluators.timing import GENERATE, Stopwatch
from gaze.checkpoint import RELEASED, find_checkpoint
from gaze.views import CLIP_FRAMES
from hlvid.errors import UserError
from hlvid.types import ArmSettings, Question, TokenCounts

WEIGHTS = "nvidia/NVILA-8B-HD-Video"
REVISION = "7a5670e20da435d98b0efdc49f9a536f73985152"
LICENSE = "CC BY-NC 4.0, not for commercial use"
RUNS_CODE = (
    f"--model nvila-hd: code that comes with its weights ({LICENSE}) has to run. Read it at "
    f"https://huggingface.co/{WEIGHTS}/tree/{REVISION}, add --trust-remote-code."
)
SHUFFLE = 9
"""Patches of a frame that one visual token of the prompt stands for."""
RECIPE: Mapping[str, Any] = {
    "max_tiles_video": 48,
    "gazing_ratio_tile": [0.2] + [0.06] * 15,
    "task_loss_requirement_tile": 0.6,
    "gazing_ratio_thumbnail": 1,
    "task_loss_requirement_thumbnail": None,
    "max_batch_size_autogaze": 16,
}
"""Of the model card. A ratio of 1 without a loss requirement keeps everything and never gazes."""


class NvilaHd(Examinee):
    """The published model, whose processor gazes by itself.

    Args:
        seed: Of the run; not used.
        weights: A folder or a hub id; '' for the pinned revision of the published ones.
        trust_remote_code: 'yes' where the user allows the code that comes with the weights.

    Raises:
        UserError: That is not allowed, or the weights are not here.
    """

    sees_video = forgets = gazes_itself = True
    shape = Shape(canvas="own")
    adaptation = "fine-tuned"
    options = ("weights", "trust_remote_code")

    def __init__(self, *, seed: int, weights: str = "", trust_remote_code: str = "") -> None:
        del seed
        if trust_remote_code != "yes":
            raise UserError(RUNS_CODE)
        from transformers import AutoModel, AutoProcessor

        folder = _find(weights)
        self.model = describe("nvila-hd", weights or WEIGHTS, folder, LICENSE)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        dtype = torch.bfloat16 if self.device == "cuda" else torch.float32
        ours = {"trust_remote_code": True, "local_files_only": True}
        with loading(weights or WEIGHTS):
            network = load_whole(AutoModel, folder, dtype=dtype, **ours)
            self._network = network.to(self.device).eval()
        self._make = lambda **own: AutoProcessor.from_pretrained(folder, **ours, **own)  # type: ignore[no-untyped-call]

    @classmethod
    def missing(cls, options: Mapping[str, str]) -> list[str]:
        """Leave to run the code that comes with the weights, and these, where they are not here."""
        told = [] if options.get("trust_remote_code") == "yes" else [RUNS_CODE]
        return told + tell_missing(lambda: _find(options.get("weights", "")))

    def watch(self, view: View, clock: Stopwatch) -> tuple[Any, list[Image.Image], TokenCounts]:
        """A processor with the arm's settings, the frames, and what it makes of them.

        Raises:
            Infeasible: Its processor cannot express the arm, or takes no such number of frames.
        """
        if (num := view.canvas.num_frames) % CLIP_FRAMES:
            raise Infeasible(f"{num} frames. Allowed are multiples of {CLIP_FRAMES}.")
        sampled = {"num_video_frames": num, "num_video_frames_thumbnail": num // 2}
        processor: Any = self._make(**{**RECIPE, **sampled, **_gaze_settings(view.arm)})  # type: ignore[no-untyped-call]
        with clock.stage("preprocess"):
            frames = [Image.fromarray(view.canvas.pixels[i]) for i in range(num)]
        return processor, frames, _count(processor, self._inputs(processor, frames, ""), view.arm)

    def count(self, view: View, notes: tuple[Any, Any, TokenCounts]) -> TokenCounts:
        """Patches through its tower, and visual tokens of the prompt."""
        return notes[2]

    def answer(self, question: Question, notes: Any, clock: Stopwatch) -> Answer:  # noqa: ANN401
        """Ask one question. Its processor tiles and gazes anew for each: stage 'gaze'."""
        processor, frames, counts = notes
        with clock.stage("gaze"):
            inputs = self._inputs(processor, frames, question.text)
        num_ids, most = inputs["input_ids"].shape[1], GENERATION["max_new_tokens"]
        with clock.stage(GENERATE), torch.inference_mode():
            out = self._network.generate(**inputs, do_sample=False, max_new_tokens=most)
        (reply,) = processor.batch_decode(out[:, num_ids:], skip_special_tokens=True)
        return Answer(response=reply.strip(), num_text_tokens=num_ids - counts.visual)

    def _inputs(self, processor: Any, frames: list[Image.Image], text: str) -> dict[str, Any]:  # noqa: ANN401
        prompt = f"{processor.tokenizer.video_token}\n\n{text}"
        made = processor(text=prompt, videos=[frames], return_tensors="pt")
        return {k: v.to(self.device) if torch.is_tensor(v) else v for k, v in made.items()}


def _gaze_settings(arm: ArmSettings) -> dict[str, Any]:
    if arm.gaze == "off":
        return {"gazing_ratio_tile": 1, "task_loss_requirement_tile": None}
    if arm.selector != "autogaze":
        raise Infeasible("its own processor gazes by AutoGaze. Use --selector autogaze.")
    checkpoint = find_checkpoint(arm.weights or RELEASED)
    found: dict[str, Any] = {"autogaze_model_id": str(checkpoint.folder)}
    if arm.budget is not None or arm.threshold is not None:
        found["gazing_ratio_tile"] = 1 if arm.budget is None else arm.budget
        found["task_loss_requirement_tile"] = arm.threshold
    return found


def _count(processor: Any, inputs: Mapping[str, Any], arm: ArmSettings) -> TokenCounts:  # noqa: ANN401
    """From `gazing_info`: slots of each clip that are padding, and slots of each of its frames."""
    info = inputs["gazing_info"]
    padded = [*info["if_padded_gazing_tiles"], *info["if_padded_gazing_thumbnails"]]
    num_tiled = sum(slots.numel() for slots in info["num_gazing_each_frame_tiles"])
    num_whole = sum(slots.numel() for slots in info["num_gazing_each_frame_thumbnails"])
    per_scale = [(scale // processor.target_patch_size) ** 2 for scale in processor.target_scales]
    return TokenCounts(
        selector=num_tiled * max(per_scale) if arm.gaze == "on" else 0,
        encoded=sum(int((~one.bool()).sum()) for one in padded),
        visual=int((inputs["input_ids"] == processor.tokenizer.video_token_id).sum()),
        text=0,
        visual_off=(num_tiled + num_whole) * -(-sum(per_scale) // SHUFFLE),
    )


def _find(weights: str) -> Path:
    name, revision = (weights, None) if weights else (WEIGHTS, REVISION)
    return find_folder(name, about=f"16 GB, {LICENSE}", revision=revision)
