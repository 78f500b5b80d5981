import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gaze.selectors import list_selectors, load, name_partner
from hlvid.errors import UserError
from hlvid.files import sha256_file

PACKAGE = Path(__file__).parents[1] / "fixtures" / "selector_package"


@pytest.mark.parametrize(
    ("name", "selectors", "full"),
    [
        ("detail", ["detail"], "detail"),
        ("random-matched:text", ["detail"], "random-matched:text"),
        ("detail:autogaze", ["random"], "detail:autogaze"),
        ("random-matched", ["detail", "autogaze", "text"], "random-matched:autogaze"),
        ("random-matched", ["random-matched", "detail", "text"], "random-matched:detail"),
        ("transplanted", ["random-matched", "transplanted", "change"], "transplanted:change"),
        ("random-matched", ["detail:autogaze", "random-matched"], "random-matched:autogaze"),
        ("transplanted", ["random-matched:text", "transplanted"], "transplanted:text"),
    ],
)
def test_partners_are_named(name: str, selectors: list[str], full: str) -> None:
    assert name_partner(name, selectors) == full


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("random-matched", "no selector to go with"),
        ("random-matched:transplanted", "needs a partner itself"),
        ("all:text", "takes no partner"),
        ("detail:random-matched", "needs a partner itself"),
        ("random-matched:nonsense", "not known"),
    ],
)
def test_partners_that_are_none_are_refused(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        name_partner(name, ["random-matched"])


def in_a_process_with_the_package(tmp_path: Path, code: str) -> str:
    """Run code where the fixture package is installed beside ours."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    entries = project["entry-points"]["hlvid.selectors"]
    info = tmp_path / f"{project['name']}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
    (tmp_path / "broken.py").write_text("pick = undefined\n")
    entries = {**entries, "broken": "broken:pick"}
    lines = "\n".join(f"{name} = {value}" for name, value in entries.items())
    (info / "entry_points.txt").write_text(f"[hlvid.selectors]\n{lines}\n")
    return subprocess.check_output(
        [sys.executable, "-c", code],
        env={
            **os.environ,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": os.pathsep.join([str(tmp_path), str(PACKAGE)]),
        },
        text=True,
    )


CODE = """
import json
import numpy as np
from gaze.selectors import list_selectors, select
from hlvid.errors import UserError

canvas = np.zeros((17, 448, 448, 3), dtype=np.uint8)
for frame in range(17):
    canvas[frame, 32 * (frame % 14) :][:32] = 255
told = {name: (info.summary, info.notes) for name, info in list_selectors().items()}
kept = {
    name: [ids.tolist() for ids in select(name, canvas, budget=None, num_kept=[14] * 17, seed=0,
        video_id="v").tokens] for name in ("brightest", "darker-each-time")
}
refusals = []
refused = ("nosy", None), ("vandal", None), ("asked-about", None), ("brightest", "What?")
for name, question in refused:
    try:
        select(name, canvas, budget=0.1, seed=0, video_id="v", question=question)
    except (UserError, ValueError) as error:
        refusals.append(str(error))
kept["asked"] = select("asked-about", canvas, budget=None, num_kept=[2] * 17, seed=0, video_id="v",
    question="A").tokens[0].tolist()
print(json.dumps([told, kept, refusals]))
"""


def test_another_package_adds_selectors_but_no_privileges(tmp_path: Path) -> None:
    told, kept, refusals = json.loads(in_a_process_with_the_package(tmp_path, CODE))
    summary, (origin,) = told["brightest"]
    digest = sha256_file(PACKAGE / "brightest.py")[:12]
    assert summary == "Keeps the brightest cells"
    assert origin == f"from brightest 1.0 (brightest.py {digest})"
    assert told["detail"][1] == []
    assert set(list_selectors()) < set(told)
    for frame in range(17):
        row = frame % 14
        assert kept["brightest"][frame] == list(range(14 * row, 14 * row + 14))
        if frame:
            before = (frame - 1) % 14
            assert kept["darker-each-time"][frame] == list(range(14 * before, 14 * before + 14))
    assert "Only built-in selectors" in refusals[0]
    assert "read-only" in refusals[1]
    assert "it reads the question. Give one." in refusals[2]
    assert "it reads no question. Leave it out." in refusals[3]
    assert kept["asked"] == [65, 66]
    assert "Only built-in selectors" in told["nosy"][1][0]
    assert "cannot be loaded (NameError: name 'undefined'" in told["broken"][1][0]
    num_lines = sum(
        len(path.read_text().splitlines()) for path in PACKAGE.iterdir() if path.is_file()
    )
    assert num_lines < 70


def test_all_built_in_selectors_are_listed_with_a_summary() -> None:
    found = list_selectors()
    names = "all random uniform centre centre-frame change change-unbounded detail text oracle"
    assert set(found) >= {*names.split(), "transplanted", "random-matched"}
    assert all(info.name == name and info.summary for name, info in found.items())
    assert [name for name, info in found.items() if info.is_privileged] == ["oracle"]
    assert found["text"].notes == ("shares the reader's detector",)
    assert load("random-matched:detail").info.needs_partner
