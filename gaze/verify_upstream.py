"""Runs the released implementation, from a checkout of it, in a Python that has what it needs.

    python verify_upstream.py CHECKOUT WEIGHTS INPUTS.npz OUTPUTS.npz

`gaze.verify` starts it. It imports the checkout, torch, numpy and transformers, and nothing of
ours, so that it runs where only those are installed.
"""

import importlib
import importlib.util
import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch

OUTPUTS = {
    "positions": "gazing_pos",
    "is_padding": "if_padded_gazing",
    "num_per_frame": "num_gazing_each_frame",
    "log_prob": "log_action_probs",
    "predicted_loss": "task_loss_prediction",
}
"""Our names, and the released ones."""
UNUSED = ("wandb", "loguru")
"""What its modules import for logging; never called here, so it need not be installed."""


def main(checkout: str, weights: str, inputs: str, outputs: str) -> None:
    """Gaze at every case of INPUTS, and write what came of it to OUTPUTS."""
    for name in UNUSED:
        if importlib.util.find_spec(name) is None:
            sys.modules[name] = types.ModuleType(name)
            sys.modules[name].logger = None  # type: ignore[attr-defined]
    sys.path.insert(0, checkout)
    model = importlib.import_module("autogaze.models.autogaze").AutoGaze.from_pretrained(weights)
    model = model.float().eval()
    with np.load(inputs, allow_pickle=False) as given:
        video, cases = torch.from_numpy(given["video"]), json.loads(str(given["cases"]))
    found: dict[str, Any] = {}
    for case in cases:
        with torch.no_grad():
            gazed = model({"video": video[case["clips"]]}, **case["controls"])
        for ours, theirs in OUTPUTS.items():
            found[f"{case['name']}.{ours}"] = torch.as_tensor(gazed[theirs]).cpu().numpy()
    with Path(outputs).open("wb") as file:
        np.savez(file, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
