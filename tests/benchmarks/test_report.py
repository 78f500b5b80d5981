import json
from xml.etree import ElementTree

import report
from measure import RESULTS, Rows

CELL = {
    "tower": "a <tower>",
    "view": 224,
    "parameters": 5_600_000,
    "frames": 16,
    "tokens_off": 3136,
    "tokens_on": 416,
    "rounds": 3,
    "tower_off_ms": 1000.0,
    "gaze_ms": 250.0,
    "tower_on_ms": 100.0,
    "speed_up": 2.857,
    "speed_up_low": 2.5,
    "speed_up_high": 3.25,
    "selector_tax": 0.2778,
    "break_even_tower_ms": 277.8,
}


def test_the_committed_page_is_what_the_committed_results_give():
    found = report.pages(RESULTS)
    for name, text in found.items():
        assert (report.DOCS / name).read_text(encoding="utf-8") == text, "run make bench-report"
    picture = report.DOCS / report.report_cpu.MAP
    assert picture.exists() == (picture.name in found)


def test_what_is_not_measured_says_what_measures_it(tmp_path):
    (page,) = report.pages(tmp_path).values()
    for _, name, target, _ in report.PARTS:
        assert f"`make {target}` writes `benchmarks/results/{name}.jsonl`" in page


def write_break_even(folder):
    with Rows("break_even", folder / "break_even.jsonl", {"threads": 2}) as rows:
        rows.add("cell", gazing_ratio=0.1, **CELL)
        slow = {"speed_up": 0.5, "selector_tax": None, "break_even_tower_ms": None}
        rows.add("cell", gazing_ratio=0.5, **(CELL | slow))
        rows.add("not run", tower="SigLIP2-L/16", view=448, reason="about 900 s")


def test_the_map_shows_every_number_and_what_was_not_run(tmp_path):
    write_break_even(tmp_path)
    found = report.pages(tmp_path)
    page, picture = found["benchmarks.md"], found["break-even.svg"]
    assert "| a <tower> at 224 | 16 | 10 % | 416 of 3,136 | 1,000 | 250 | 100 |" in page
    assert "| 2.86 [2.50, 3.25] | 0.28 | 278 |" in page
    assert "| 0.50 [2.50, 3.25] | never | never |" in page
    assert "- SigLIP2-L/16 at 448 pixels: about 900 s" in page
    words = [element.text for element in ElementTree.fromstring(picture).iter()]
    assert {"a <tower>", "2.86", "0.5", "2.5 to 3.25", "gazing 10 %"} <= set(words)
    fills = {element.get("fill") for element in ElementTree.fromstring(picture).iter()}
    assert len(fills) >= 4  # ink, paper, gain and loss
    assert report.pages(tmp_path) == found


def test_the_grid_stands_beside_the_papers_figures(tmp_path):
    arms = {"off_ms": 9000.0, "gaze_ms": 400.0, "tower_on_ms": 600.0, "on_ms": 1000.0}
    arms |= {"speed_up": 9.0, "speed_up_low": None, "speed_up_high": None}
    counts = {"paper_gazing_ratio": 0.058, "gazing_ratio": 0.0566, "tower_dtype": "float32"}
    key = {"setting": "paper", "fps": 30, "resolution": 448}
    with Rows("paper_grid", tmp_path / "paper_grid.jsonl", {"tower": "T", "threads": 1}) as rows:
        rows.add("cell", **key, **counts, **arms)
        rows.add("not run", setting="people", fps=30, resolution=3584, reason="too long")
    page = report.pages(tmp_path)["benchmarks.md"]
    assert "| 30 x 448 | paper, float32 | 5.8 %, 5.7 % | 2.9 | 0.35 | 8.27 (printed) |" in page
    assert "| 9 | 0.4 | 0.6 | 9.00 |" in page
    assert "- 30 x 3584, people: too long" in page


def test_targets_of_a_gpu_are_met_or_said_not_to_be(tmp_path):
    lines = (RESULTS / "gpu_check_h100.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    for row in rows:
        if row["section"] == "lock_step" and row.get("clips") == 45:
            row["ms"] = 31.0
    rows.append({"section": "tower", "ok": False, "error": "RuntimeError: too large"})
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "gpu_check_x.jsonl").write_text(text)
    page = report.pages(tmp_path)["benchmarks.md"]
    assert "| 45 clips, 26 cells a frame, bfloat16 | <= 30 ms | 31.0 ms | **no** |" in page
    assert "- tower failed: RuntimeError: too large" in page
