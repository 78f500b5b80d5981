"""From a spec file to a published package, offline, and every step of it checked.

Renders 4K sources, spoils some of them (two duplicates, one enlarged 1080p, one HDR, one cut short,
one too short), serves them on the loopback address, and lets the commands do the rest: fetch,
probe, cut, compare, questions, blind answers, splits, package; then everything is made again and
compared, `datasets` reads the package, and a reader sits it with gaze off and on.

    .venv/bin/python benchmarks/prove.py --out prove --doc docs/build.md   # 300 s, as `make prove`
    .venv/bin/python benchmarks/prove.py --out prove --seconds 20 --target-seconds 15

Killed at any moment, the same command goes on.

The questions are those of hlvid-synthetic, whose evidence is known. The two blind annotators are
scripts that read the author's key, and a third one accepts what is disputed: they show the
machinery, not agreement between people.
"""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from hlvid.build.probes import orders
from hlvid.build.questions import Draft, Reply, Ruling
from hlvid.console import say
from hlvid.files import canonical_json, json_bytes, read_jsonl, write_bytes, write_jsonl
from hlvid.types import Evidence, Question
from hlvid.video import VideoReader

DUPLICATES = {"copy.mp4": 0, "reencoded.mp4": -1}
"""Source -> which of the sound ones it shows; one of them is kept, the other is a duplicate."""
SPOILED = {
    "enlarged.mp4": "quarantined upscaled",
    "hdr.mp4": "rejected hdr",
    "cut.mp4": "quarantined truncated",
    "short.mp4": "rejected too_short",
}
"""Source -> how it must end."""
Run = Callable[..., str]
LOG_FILE = "log.jsonl"
ANNOTATORS = ("script-one", "script-two")
ADJUDICATOR = "script-three"
SIZE = (3840, 2160)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, prove, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--videos", type=int, default=6, help="sound sources")
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--target-seconds", type=float)
    parser.add_argument("--per-video", type=int, default=3, help="questions asked about each clip")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--audit", default="ocr", help="models that audit, or none")
    parser.add_argument("--frames", type=int, default=6, help="that the reader samples")
    parser.add_argument("--limit", type=int, help="questions that the reader is asked")
    parser.add_argument("--once", action="store_true", help="do not make it all again")
    parser.add_argument("--doc", type=Path, help="page to write")
    asked = parser.parse_args(arguments)
    asked.target_seconds = asked.target_seconds or float(asked.seconds)
    log = prove(asked)
    if asked.doc:
        write_bytes(asked.doc, [page(asked, log).encode()])


def prove(asked: argparse.Namespace) -> list[tuple[str, str]]:
    """Do all of it; the commands with what they said."""
    out = asked.out.resolve()
    os.environ["HLVID_CACHE"] = str(out / "cache")
    site, spec = out / "site", out / "spec.toml"
    hold(out / "settings.json", asked)
    log = Log(out / LOG_FILE)
    run = partial(command, log, out)
    questions = make_sources(asked, out, site, run)
    with serve(site, out / "port") as address:
        names = sorted(path.name for path in site.iterdir())
        spec.write_text(spec_text(asked, address, names))
        run("hlvid-build", "run", spec, "--until", "dedup", "--workers", asked.workers)
    told = json.loads(run("hlvid-build", "status", spec, "--items", "--json"))
    check_endings(out, told)
    drafts = as_drafts(out, questions, asked.per_video)
    write_jsonl(out / "author.jsonl", drafts)
    run("hlvid-build", "annotate", "import", spec, out / "author.jsonl", "--kind", "write")
    for name in ANNOTATORS:
        write_jsonl(out / f"{name}.jsonl", [as_reply(draft, name) for draft in drafts])
        run("hlvid-build", "annotate", "import", spec, out / f"{name}.jsonl", "--kind", "answer")
    run("hlvid-build", "lint", spec)
    run("hlvid-build", "audit", spec)
    # What is once ruled on or locked is not disputed or new when it is asked again.
    run("hlvid-build", "adjudicate", spec, is_once=True)
    run("hlvid-build", "questions", spec, is_once=True)
    accept_disputed(out, spec, run)
    run("hlvid-build", "adjudicate", spec)
    run("hlvid-build", "split", spec, is_once=True)
    run("hlvid-build", "package", spec, "--out", out / "package")
    run("hlvid-build", "verify", out / "package")
    run("hlvid-build", "report", spec, "--reconcile")
    if not asked.once:
        again = ("rebuild", spec, "--check", "--package", out / "package")
        run("hlvid-build", *again, "--workers", asked.workers, is_once=True)
    read_with_datasets(out, run)
    sit(asked, out, run)
    return log.told


def hold(path: Path, asked: argparse.Namespace) -> None:
    """Let no two proofs share a folder: what one has made, the other would take for its own."""
    names = ("videos", "seconds", "target_seconds", "per_video", "audit")
    settings = json_bytes({name: getattr(asked, name) for name in names})
    if not path.exists():
        write_bytes(path, [settings])
    if path.read_bytes() != settings:
        raise SystemExit(f"{path.parent}: holds a proof with other settings. Name another --out.")


# --- sources -------------------------------------------------------------------------------------


def make_sources(asked: argparse.Namespace, out: Path, site: Path, run: Run) -> list[Question]:
    """Sound sources and spoiled ones in one folder; the questions about the sound ones."""
    evidence_seconds = min(20, asked.seconds // 5)
    run(
        *("hlvid-build", "render", "--out", out / "rendered", "--videos", asked.videos),
        *("--seconds", asked.seconds, "--min-evidence-seconds", evidence_seconds),
        *("--workers", asked.workers),
    )
    sound = rendered(out)
    site.mkdir(exist_ok=True)
    first, last = sound[0], sound[-1]
    apart = 5
    enlarged = (enlarge(frame) for frame in frames(first, apart))
    makers: dict[str, Callable[[Path], None]] = {
        **{path.name: partial(shutil.copyfile, path) for path in sound},
        "copy.mp4": partial(shutil.copyfile, first),
        "cut.mp4": partial(cut_short, last),
        "short.mp4": partial(shorten, last, seconds=asked.target_seconds / 2),
        "reencoded.mp4": partial(encode, frames(last, 1), crf=30),
        "enlarged.mp4": partial(encode, enlarged, seconds_a_frame=apart),
        "hdr.mp4": partial(
            encode, frames(first, 10 * apart), seconds_a_frame=10 * apart, is_hdr=True
        ),
    }
    for name, make in makers.items():
        if not (site / name).exists():
            make(out / "making.mp4")
            (out / "making.mp4").replace(site / name)
    return read_jsonl(out / "rendered" / "questions.jsonl", Question)


def frames(path: Path, seconds_apart: int) -> Iterator[np.ndarray]:
    """Frames of a video, so far apart."""
    with VideoReader(path) as reader:
        numbers = range(0, reader.info.num_frames, round(seconds_apart * reader.info.fps))
        for frame in reader.frames(list(numbers)):
            yield frame.pixels


def enlarge(pixels: np.ndarray) -> np.ndarray:
    """What 1080p leaves of a frame, made as large as before."""
    small = Image.fromarray(pixels).resize((SIZE[0] // 2, SIZE[1] // 2), Image.Resampling.LANCZOS)
    return np.asarray(small.resize(SIZE, Image.Resampling.BICUBIC))


def encode(
    pixels: Iterable[np.ndarray],
    path: Path,
    *,
    crf: int = 23,
    seconds_a_frame: int = 1,
    is_hdr: bool = False,
) -> None:
    """Write frames as a 4K film: H.264, or HEVC with PQ for HDR."""
    codec, more = ("libx265", {"x265-params": "log-level=none"}) if is_hdr else ("libx264", {})
    with av.open(os.fspath(path), "w", options={"fflags": "+bitexact"}) as output:
        rate = Fraction(1, seconds_a_frame)
        options = {"preset": "ultrafast", "crf": str(crf), **more}
        stream = output.add_stream(codec, rate=rate, options=options)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p10le" if is_hdr else "yuv420p"
        stream.gop_size = 1 if seconds_a_frame > 1 else 5
        context = stream.codec_context
        context.colorspace, context.color_range = (9, 1) if is_hdr else (1, 1)
        context.color_primaries, context.color_trc = (9, 16) if is_hdr else (1, 1)
        for number, each in enumerate(pixels):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(each), "rgb24")
            frame = frame.reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base = number, 1 / rate
            output.mux(stream.encode(frame))
        output.mux(stream.encode())


def cut_short(source: Path, target: Path) -> None:
    """What is left of a file when its end is missing."""
    whole = source.read_bytes()
    target.write_bytes(whole[: len(whole) * 6 // 10])


def shorten(source: Path, target: Path, seconds: float) -> None:
    """The beginning of a film, its packets as they are."""
    with av.open(os.fspath(source)) as read, av.open(os.fspath(target), "w") as written:
        stream = read.streams.video[0]
        output = written.add_stream_from_template(stream, opaque=True)
        for packet in read.demux(stream):
            if packet.dts is None or packet.pts * stream.time_base >= seconds:
                break
            packet.stream = output
            written.mux(packet)


def spec_text(asked: argparse.Namespace, address: str, names: Sequence[str]) -> str:
    """The spec: every source by its address."""
    sources = "".join(
        f'[[sources]]\nname = "{name.removesuffix(".mp4")}"\nkind = "url"\n'
        f'url = "{address}/{name}"\ncategory = "{"household" if "household" in name else "av"}"\n'
        'license = "CC-BY-4.0"\n'
        for name in names
    )
    models = (
        f'[audit.models]\n{asked.audit} = "hlvid-eval answer --model {asked.audit} '
        '{probes} {answers}"\n'
        if asked.audit != "none"
        else ""
    )
    return (
        f'name = "proof"\n{sources}'
        f'[select]\nmin_seconds = {asked.target_seconds}\ncodecs = ["h264", "hevc"]\n'
        "[fetch]\nseconds_between = 0.0\n"
        f"[clip]\ntarget_seconds = {asked.target_seconds}\ntolerance = 0.2\n"
        "[audit]\nnum_permutations = 2\nnum_frames = 4\nheights = [540, 1080, 2160]\n"
        f"context_seconds = []\n{models}"
        '[split]\nversion = "1.0.0"\nsalt = "proof"\n'
        '[package]\ntitle = "A proof"\nlicense = "Apache-2.0"\n'
        'collection = "Rendered by hlvid-build render."\n'
    )


@contextmanager
def serve(folder: Path, note: Path) -> Iterator[str]:
    """Serve a folder on the loopback address; gives the address, the same whenever it is served.

    A source is known by its address: under another one, everything would be made anew.
    """
    port = int(note.read_text()) if note.exists() else 0

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    try:
        host = ThreadingHTTPServer(("127.0.0.1", port), partial(Quiet, directory=str(folder)))
    except OSError:
        raise SystemExit(f"{note}: port {port} is taken. End what listens on it.") from None
    with host:
        write_bytes(note, [str(host.server_address[1]).encode()])
        threading.Thread(target=host.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{host.server_address[1]}"
        host.shutdown()


# --- questions -----------------------------------------------------------------------------------


def check_endings(out: Path, told: dict[str, Any]) -> None:
    """Hold what became of every source against what was done to it."""
    ends = {each["id"]: f"{each['state']} {each['code'] or ''}".strip() for each in told["items"]}
    kept: dict[str, list[str]] = {}
    for candidate, name in sorted(named(out).items(), key=lambda pair: pair[1]):
        if name in SPOILED:
            if ends[candidate] != SPOILED[name]:
                raise SystemExit(f"{name}: ended as {ends[candidate]}, not as {SPOILED[name]}")
        else:
            kept.setdefault(shown_by(out, name), []).append(ends[candidate])
        say(f"{name}: {ends[candidate]}")
    for name, found in kept.items():
        if sorted(found) != ["rejected duplicate"] * (len(found) - 1) + ["selected"]:
            raise SystemExit(f"{name} and what shows the same: ended as {', '.join(found)}")


def shown_by(out: Path, name: str) -> str:
    """The sound source that a source shows."""
    return rendered(out)[DUPLICATES[name]].name if name in DUPLICATES else name


def rendered(out: Path) -> list[Path]:
    """The sound sources; not what a killed process was just writing."""
    return sorted(p for p in (out / "rendered" / "videos").glob("*.mp4") if p.name[0] != ".")


def named(out: Path) -> dict[str, str]:
    """Candidate -> file name of its source."""
    lines = (out / "work" / "manifests" / "discover.jsonl").read_text().splitlines()
    found = [json.loads(line)["output"]["candidate"] for line in lines]
    return {each["candidate_id"]: each["locator"].rpartition("/")[2] for each in found}


def as_drafts(out: Path, questions: Sequence[Question], per_video: int) -> list[Draft]:
    """The renderer's questions, about the clips that were cut from its videos."""
    lines = (out / "work" / "manifests" / "dedup.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    clips = {e["candidate"]: e["output"]["clip"] for e in entries if e["state"] == "passed"}
    names = named(out)
    drafts: list[Draft] = []
    for candidate, clip in clips.items():
        mine = [q for q in questions if f"{q.video_id}.mp4" == shown_by(out, names[candidate])]
        made = [d for q in mine if (d := as_draft(q, clip))]
        drafts += made[:per_video]
    return drafts


def as_draft(question: Question, clip: dict[str, Any]) -> Draft | None:
    """A question whose evidence the clip shows long enough, or None."""
    end = clip["duration_seconds"]
    seen = [e for e in question.evidence if min(e.end_seconds, end) - e.start_seconds >= 2]
    if not seen or question.answer is None:
        return None
    right = ord(question.answer) - ord("A")
    choices = question.choices
    return Draft(
        question_id=f"{clip['clip_id']}-{question.question_id.rpartition('-')[2]}",
        video_id=clip["clip_id"],
        stem=question.stem,
        choices=(choices[right], *choices[:right], *choices[right + 1 :]),
        evidence=tuple(
            Evidence(
                start_seconds=e.start_seconds,
                end_seconds=min(e.end_seconds, end),
                boxes=e.boxes,
            )
            for e in seen
        ),
        capability=question.capability,
        author="renderer",
    )


def as_reply(draft: Draft, name: str) -> Reply:
    """A blind answer as a script gives it: the second one misreads every fifth question."""
    number = int(draft.wording_sha256, 16)
    is_wrong = name == ANNOTATORS[1] and number % 5 == 0
    choice = draft.choices[orders(draft)[0][0]] if is_wrong else draft.choices[0]
    return Reply(
        question_id=draft.question_id,
        wording_sha256=draft.wording_sha256,
        annotator=name,
        choice=choice,
    )


def accept_disputed(out: Path, spec: Path, run: Run) -> None:
    """Rule on every question that is disputed; one ruling is told, and how many were like it."""
    rows = json.loads(run("hlvid-build", "questions", spec, "--json", is_told=False))
    waiting = {row["question_id"] for row in rows if row["code"] == "disputed"}
    kept = out / "annotations" / "rulings" / f"{ADJUDICATOR}.jsonl"
    ruled = {each.question_id for each in read_jsonl(kept, Ruling)} if kept.exists() else set()
    every = sorted(waiting | ruled)
    for number, question_id in enumerate(every):
        reason = "the evidence is that of the renderer"
        decide = ("rule", spec, question_id, "accept", "--by", ADJUDICATOR, "--reason", reason)
        if number == 0:
            more = f"({len(every) - 1} more such commands, one a disputed question)\n"
            run("hlvid-build", *decide, is_once=True, more=more if len(every) > 1 else "")
        elif question_id in waiting:
            run("hlvid-build", *decide, is_told=False)


# --- what is made of it --------------------------------------------------------------------------


def read_with_datasets(out: Path, run: Run) -> None:
    """Let Hugging Face's `datasets` read both configurations, offline."""
    code = (
        "import datasets\n"
        "for name in ('default', 'structured'):\n"
        "    rows = datasets.load_dataset('package', name, split='test', cache_dir='cache/hf')\n"
        "    print(name, len(rows), rows.column_names)\n"
    )
    run(Path(sys.executable).name, "-c", code)


def sit(asked: argparse.Namespace, out: Path, run: Run) -> None:
    """Let the reader sit the package with gaze off and on; none of its answers may have failed."""
    limit = ("--limit", asked.limit) if asked.limit else ()
    folder = out / "package"
    run(
        *("hlvid-eval", "--model", "ocr", "--benchmark", folder / "test", "--data", folder),
        *("--gaze", "both", "--selector", "detail,random-matched", "--budget", "0.1"),
        *("--frames", asked.frames, "--out", out / "runs", *limit),
    )
    found = [json.loads(record.read_text()) for record in (out / "runs").glob("*/run.json")]
    states = {each["arm"]["selector"] or "off": each["status"] for each in found}
    if states != dict.fromkeys(("off", "detail", "random-matched:detail"), "complete"):
        raise SystemExit(f"runs: the three arms ended as {states}")


class Log:
    """What was typed and what it printed: told in a file, so that what is stopped goes on.

    Args:
        path: Of the file; the same commands in the same order find there what they said before. Of
            one that says something else now, and of all that came after it, nothing is kept.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._at = path, 0
        self.told: list[tuple[str, str]] = []
        if path.exists():
            self.told = [(t, p) for t, p in map(json.loads, path.read_text().splitlines())]

    def before(self, typed: str) -> str | None:
        """What the command that comes now has printed before, if it has."""
        told = self.told[self._at] if self._at < len(self.told) else ("", "")
        return told[1] if told[0] == typed else None

    def add(self, typed: str, printed: str) -> None:
        """Tell of a command, unless the same was told of it before."""
        if self.before(typed) != printed:
            self.told = [*self.told[: self._at], (typed, printed)]
            write_bytes(self._path, [canonical_json(each) + b"\n" for each in self.told])
        self._at += 1


def command(
    log: Log,
    out: Path,
    *words: object,
    is_told: bool = True,
    is_once: bool = False,
    more: str = "",
) -> str:
    """Run a command in the proof's folder, as somebody types it there; what it printed.

    Args:
        log: Of the proof.
        out: Folder of the proof.
        words: Of the command.
        is_told: Whether the page tells of it.
        is_once: Whether it is not run again where it ended well before.
        more: What the page tells beneath what was printed.
    """
    typed = [str(word).replace(f"{out}/", "") for word in words]
    shown = "python -c 'load_dataset(...)'" if typed[1] == "-c" else shlex.join(typed)
    if is_once and (printed := log.before(shown)) is not None:
        log.add(shown, printed)
        return printed
    say(f"$ {' '.join(typed)[:200]}")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    program = str(Path(sys.executable).parent / typed[0])
    done = subprocess.run(
        [program, *typed[1:]],
        cwd=out,
        env={**os.environ, "PATH": path, "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    # 3 says that some candidates failed, which is what the spoiled ones are for.
    if done.returncode not in (0, 3):
        raise SystemExit(f"{' '.join(typed)}: ended with {done.returncode}")
    if is_told and "--json" not in typed:
        log.add(shown, done.stdout + more)
    return done.stdout


def page(asked: argparse.Namespace, log: Sequence[tuple[str, str]]) -> str:
    """What was typed and printed, as a page."""
    state = canonical_json({k: v for k, v in vars(asked).items() if k not in ("out", "doc")})
    parts = [
        "# From a spec to a package, offline\n",
        "What was typed and printed in one proof of "
        "[benchmarks/prove.py](../benchmarks/prove.py), written by `make prove`: sources "
        "rendered in 4K, some of them spoiled on purpose, served on the loopback address. "
        f"The questions, the two blind annotators ({' and '.join(ANNOTATORS)}) and who rules on "
        f"what is disputed ({ADJUDICATOR}, which accepts all of it) are scripts; they show the "
        f"machinery, not agreement between people. Settings: `{state.decode()}`\n",
    ]
    for typed, printed in log:
        parts.append(f"```\n$ {typed}\n{printed.rstrip()}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    main()
