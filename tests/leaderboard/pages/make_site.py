"""Write a wall of runs and build its pages, for the test of the pages: make_site.py FOLDER."""

import dataclasses
import importlib.util
import sys
from pathlib import Path


def main(folder: Path) -> None:
    place = Path(__file__).parents[1] / "conftest.py"
    spec = importlib.util.spec_from_file_location("lab", place)
    lab = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(lab)
    exam = dataclasses.replace(lab.exam(num_videos=24, per_video=2), license="CC-BY-4.0")
    lab.write_wall(folder, exam, names=("qwen", "text-only"))
    lab.film(folder / "exam", exam)
    lab.build_pages(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
