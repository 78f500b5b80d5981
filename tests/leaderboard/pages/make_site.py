"""Write a wall of runs and build its pages, for the test of the pages: make_site.py FOLDER."""

import importlib.util
import sys
from pathlib import Path


def main(folder: Path) -> None:
    place = Path(__file__).parents[1] / "conftest.py"
    spec = importlib.util.spec_from_file_location("lab", place)
    lab = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(lab)
    lab.write_wall(folder, lab.exam(num_videos=24, per_video=2), names=("qwen", "text-only"))
    lab.build_pages(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
