"""NVILA-HD's adapter, against a stand-in that has the interface of the published code.

The weights cannot be had here, and their code comes with them. The stand-in is loaded as they are:
transformers runs the code in its folder. It tiles, gazes at a share of 5 patches, and replies with
what it was asked and how it was set.
"""

import json
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from evaluators.cli import app
from evaluators.engine import quiet
from evaluators.models.nvila import RECIPE, NvilaHd
from hlvid.errors import UserError
from hlvid.runs import read_run

quiet()

FIXTURE = Path(__file__).parents[1] / "fixtures" / "autogaze"
CODE = {
    "configuration_stand_in.py": """
from transformers import PretrainedConfig

class StandInConfig(PretrainedConfig):
    model_type = "stand_in"
""",
    "modeling_stand_in.py": """
import torch
from transformers import PreTrainedModel
from .configuration_stand_in import StandInConfig

class StandIn(PreTrainedModel):
    config_class = StandInConfig

    def __init__(self, config):
        super().__init__(config)
        self.layer = torch.nn.Linear(1, 1)
        self.post_init()

    def generate(self, input_ids, gazing_info, do_sample, max_new_tokens):
        assert not do_sample and max_new_tokens == 16
        said = 65 + len(gazing_info["if_padded_gazing_tiles"][0]) % 4
        return torch.cat([input_ids, torch.tensor([[said]])], dim=1)
""",
    "processing_stand_in.py": """
from types import SimpleNamespace
import torch
from transformers import ProcessorMixin

class StandInProcessor(ProcessorMixin):
    attributes = []
    target_scales, target_patch_size = [56, 112, 224, 448], 16

    @classmethod
    def from_pretrained(cls, folder, trust_remote_code, local_files_only, **settings):
        made = cls()
        made.settings = settings
        made.tokenizer = SimpleNamespace(video_token="<vid>", video_token_id=7)
        return made

    def __call__(self, text, videos, return_tensors):
        frames = videos[0]
        assert len(frames) == self.settings["num_video_frames"]
        ratio = self.settings["gazing_ratio_tile"]
        ratio = ratio[0] if isinstance(ratio, list) else ratio
        kept = max(1, int(5 * ratio))
        clips = 2 * len(frames) // 16  # two tiles a frame
        num_small = self.settings["num_video_frames_thumbnail"]
        padded = torch.ones(clips, 16 * 5, dtype=torch.bool)
        padded[:, : 16 * kept] = False
        info = {
            "if_padded_gazing_tiles": [padded],
            "num_gazing_each_frame_tiles": [torch.full((clips, 16), 5)],
            "if_padded_gazing_thumbnails": [torch.zeros(num_small, 5, dtype=torch.bool)],
            "num_gazing_each_frame_thumbnails": [torch.full((num_small, 1), 5)],
        }
        assert text.startswith("<vid>\\n\\n")
        visual = [7] * (clips * 16 + num_small)
        ids = visual + [300 + ord(c) % 50 for c in text[7:]]
        return {"input_ids": torch.tensor([ids]), "gazing_info": info}

    def batch_decode(self, ids, skip_special_tokens):
        return ["".join(map(chr, row)) for row in ids.tolist()]
""",
}


@pytest.fixture(scope="module")
def clip(tiny, tmp_path_factory):
    """The tiny benchmark, its first video with 20 frames."""
    folder = tmp_path_factory.mktemp("clip") / "clip"
    shutil.copytree(tiny, folder)
    with av.open(str(folder / "videos" / "v0.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=4)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for i in range(20):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 10 * i, np.uint8), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    import torch
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("nvila")
    for name, text in CODE.items():
        (folder / name).write_text(text)
    config = {
        "model_type": "stand_in",
        "architectures": ["StandIn"],
        "auto_map": {
            "AutoConfig": "configuration_stand_in.StandInConfig",
            "AutoModel": "modeling_stand_in.StandIn",
            "AutoProcessor": "processing_stand_in.StandInProcessor",
        },
    }
    (folder / "config.json").write_text(json.dumps(config))
    tensors = {"layer.weight": torch.ones(1, 1), "layer.bias": torch.ones(1)}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def sit(benchmark, out, weights, *more):
    words = ["--model", "nvila-hd", "--weights", weights, "--trust-remote-code"]
    words += ["--benchmark", benchmark]
    words += ["--frames", 16, "--limit", 1, "--out", out, "--json", *more]
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert not isinstance(done.exception, UserError), done.exception
    rows = json.loads(done.stdout)["runs"]
    return {row["arm"]: read_run(out / row["run_id"]) for row in rows}


def test_its_own_processor_gazes_as_it_was_asked_to(clip, tmp_path, weights):
    runs = sit(
        *(clip, tmp_path, weights, "--gaze", "both", "--gaze-weights", FIXTURE),
        *("--selector", "autogaze@0.4,detail@0.1"),
    )
    off, on = runs["off"], runs["autogaze@0.4"]
    assert on.record.adaptation == "fine-tuned" and off.record.adaptation == "none"
    assert on.record.model.license.startswith("CC BY-NC")
    (prediction,), (dense,) = on.predictions, off.predictions
    assert prediction.error is None and prediction.response in "ABCD"
    frames_of_tiles, thumbnails = 2 * 16, 8
    assert dense.tokens.encoded == 5 * (frames_of_tiles + thumbnails)
    assert prediction.tokens.encoded == 2 * frames_of_tiles + 5 * thumbnails
    assert prediction.tokens.visual == frames_of_tiles + thumbnails
    a_frame = -(-(3**2 + 7**2 + 14**2 + 28**2) // 9)
    assert prediction.tokens.visual_off == (frames_of_tiles + thumbnails) * a_frame
    assert (dense.tokens.selector, prediction.tokens.selector) == (0, frames_of_tiles * 28**2)
    assert prediction.temporal_hit is None and "gaze" in prediction.stage_ms
    assert runs["detail@0.1"].record.status == "infeasible"


def test_without_budget_and_threshold_the_model_cards_recipe_holds(weights):
    made = NvilaHd(seed=0, weights=str(weights), trust_remote_code="yes")
    assert made._make(**RECIPE).settings["gazing_ratio_tile"] == [0.2] + [0.06] * 15


def test_its_code_runs_only_where_the_user_says_so(weights):
    with pytest.raises(UserError, match="Read it at https://"):
        NvilaHd(seed=0, weights=str(weights))


def test_weights_with_a_tensor_too_few_are_refused(weights, tmp_path):
    import torch
    from safetensors.torch import save_file

    folder = shutil.copytree(weights, tmp_path / "weights")
    part = {"layer.weight": torch.ones(1, 1)}
    save_file(part, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"weights: cannot be loaded \(its files lack layer\.bias"):
        NvilaHd(seed=0, weights=str(folder), trust_remote_code="yes")


def test_leave_to_run_its_code_is_told_before_anything_is_loaded(weights):
    assert NvilaHd.missing({"weights": str(weights), "trust_remote_code": "yes"}) == []
    (told,) = NvilaHd.missing({"weights": str(weights)})
    assert "add --trust-remote-code" in told


def test_weights_that_are_not_here_are_named_with_revision_and_licence():
    (told,) = NvilaHd.missing({"trust_remote_code": "yes"})
    assert "16 GB, CC BY-NC 4.0" in told and "--revision 7a5670e2" in told


def test_frames_that_make_no_whole_clips_are_infeasible(tiny, tmp_path, weights):
    runs = sit(tiny, tmp_path, weights, "--frames", 5)
    assert runs["off"].record.status == "infeasible"
