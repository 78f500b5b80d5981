"""Probe, clip and index of 4K films at one and two workers, against plain ffprobe and ffmpeg.

The plain way is `ffprobe -show_streams` and `ffmpeg -c copy` of the same 300 s: it decodes nothing,
checks nothing, reads nothing back and keeps no digest. Ways take turns in one run. Starting the
processes is part of the time, fetching is not.

    python benchmarks/build_throughput.py      # writes benchmarks/results/build_throughput.jsonl
    python benchmarks/build_throughput.py --quick
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench_video import make_clip
from measure import Rows, parser, result_file, times_faster

from hlvid.build.clip import CLIP
from hlvid.build.engine import run_stage
from hlvid.build.fetch import FETCH
from hlvid.build.index import INDEX
from hlvid.build.probe import PROBE
from hlvid.build.stages import STAGES
from hlvid.build.work import Work
from hlvid.console import progress, say

BENCHMARK = "build_throughput"
SECONDS = 300
WORKERS = (1, 2)
MEASURED = (PROBE, CLIP, INDEX)
SPEC = f"""
name = "throughput"
[[sources]]
name = "films"
kind = "folder"
path = "films"
category = "av"
[select]
codecs = ["h264"]
licenses = ["*"]
[probe]
min_detail_decibels = -1000.0
[clip]
target_seconds = {SECONDS}
"""


def lay_out(folder: Path, film: Path, num_films: int) -> Path:
    """A spec and its films, which are names of one file; returns the spec."""
    films = folder / "films"
    films.mkdir()
    for number in range(num_films):
        (films / f"{number}{film.suffix}").hardlink_to(shutil.copyfile(film, folder / "film"))
        (folder / "film").unlink()
    spec = folder / "spec.toml"
    spec.write_text(SPEC)
    return spec


def build(spec: Path, folder: Path, num_workers: int) -> float:
    """Seconds that probe, clip and index take, from a folder where all is fetched."""
    for stage in STAGES[: STAGES.index(FETCH) + 1]:
        run_stage(Work.open(folder, spec), stage, num_workers=0)
    os.environ["HLVID_CACHE"] = str(folder / "cache")
    started = time.perf_counter()
    for stage in MEASURED:
        run_stage(Work.open(folder, spec), stage, num_workers=num_workers)
    seconds = time.perf_counter() - started
    work = Work.open(folder, spec)
    num_films = len(work.tasks(FETCH))
    if [len(list(work.passed(stage))) for stage in MEASURED] != [num_films] * len(MEASURED):
        raise AssertionError("not every film became a clip")
    return seconds


def plain(spec: Path, folder: Path, num_workers: int) -> float:
    """Seconds that ffprobe and ffmpeg take for the same films, so many at a time."""
    folder.mkdir()

    def one(film: Path) -> None:
        quiet = ["-v", "error"]
        probe = ["ffprobe", *quiet, "-show_streams", "-show_format", str(film)]
        cut = ["-i", str(film), "-map", "0:v:0", "-t", str(SECONDS), "-c", "copy"]
        target = [str(folder / f"{film.stem}.mp4")]
        subprocess.run(probe, check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["ffmpeg", *quiet, "-nostdin", *cut, *target], check=True)

    started = time.perf_counter()
    with ThreadPoolExecutor(num_workers) as pool:
        list(pool.map(one, sorted((spec.parent / "films").iterdir())))
    return time.perf_counter() - started


WAYS = {"build": build, "plain": plain}


def main() -> int:
    """Measure; the exit code."""
    options = parser(BENCHMARK, __doc__)
    options.add_argument("--films", type=int, default=6, help="films a round")
    options.add_argument("--rounds", type=int, default=5, help="times each way is measured")
    asked = options.parse_args()
    if asked.quick:
        asked.films, asked.rounds = 2, 1
    missing = [name for name in ("ffprobe", "ffmpeg") if shutil.which(name) is None]
    if missing:
        say(f"{', '.join(missing)}: not installed. Install: apt-get install ffmpeg")
        return 2
    say("making the film, unless it is there")
    film = make_clip("h264")
    settings = {"films": asked.films, "rounds": asked.rounds, "seconds": SECONDS}
    turns = [(number, way, n) for number in range(asked.rounds) for way in WAYS for n in WORKERS]
    with (
        Rows(BENCHMARK, result_file(BENCHMARK, asked), settings) as rows,
        tempfile.TemporaryDirectory() as place,
        progress(len(turns), "building") as bar,
    ):
        folder = Path(place)
        spec = lay_out(folder, film, asked.films)
        for number, way, n in turns if asked.rounds else ():
            bar.advance(note=f"{way}, {n} at a time")
            if rows.find("time", way=way, num_workers=n, round=number):
                continue
            target = folder / "target"
            seconds = WAYS[way](spec, target, n)
            shutil.rmtree(target)
            rows.add("time", way=way, num_workers=n, round=number, seconds=round(seconds, 3))
        summarise(rows, asked.films)
    return 0


def summarise(rows: Rows, num_films: int) -> None:
    """Add films an hour of each way, and how much the plain way is faster."""
    for n in WORKERS:
        times = {
            way: [row["seconds"] for row in rows.find("time", way=way, num_workers=n)]
            for way in WAYS
        }
        for way, seconds in times.items():
            middle = sorted(seconds)[len(seconds) // 2]
            rate = round(3600 * num_films / middle, 1)
            rows.add("rate", way=way, num_workers=n, films_an_hour=rate)
        ratio = times_faster(times["build"], times["plain"])
        rows.add("plain against build", num_workers=n, **ratio)


if __name__ == "__main__":
    sys.exit(main())
