"""The built-in benchmark: its questions give nothing away, and its videos are what they say."""

import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import ImageFont
from rapidfuzz.distance import Levenshtein

from hlvid import datasets
from hlvid.errors import UserError
from hlvid.prompt import parse
from hlvid.synthetic import (
    RenderSettings,
    benchmark,
    drawing,
    encoding,
    generate,
    home,
    lettering,
    photographs,
    render,
    street,
    strings,
)
from hlvid.synthetic.chance import Chance
from hlvid.synthetic.details import details
from hlvid.video import uniform_indices

PACKAGE = Path(photographs.__file__).parent
SHIPPED = RenderSettings(seed=0, seconds=100)
SHORT = RenderSettings(seed=3, seconds=8, fps=2, min_evidence_seconds=1)


@pytest.fixture(scope="module")
def shipped():
    return datasets.load("hlvid-synthetic", data=Path("nowhere"))


@pytest.fixture(scope="module")
def many():
    """At least 1,500 questions of another seed."""
    settings = RenderSettings(seed=7, seconds=100)
    questions = [q for index in range(168) for q in generate(settings, index)[1]]
    assert len(questions) >= 1500
    return questions


def test_shipped_questions_are_made_again_byte_for_byte(tmp_path):
    datasets.write(tmp_path, benchmark(SHIPPED, 24))
    names = ["benchmark.json", "questions.jsonl", "videos.jsonl"]
    assert [(tmp_path / n).read_bytes() for n in names] == [
        (PACKAGE / "questions" / n).read_bytes() for n in names
    ]


def test_shipped_set_has_the_promised_make_up(shipped):
    per_video = Counter(q.video_id for q in shipped.questions)
    assert len(per_video) == 24
    assert min(per_video.values()) >= 8
    assert len(shipped.questions) >= 190
    assert Counter(v.rpartition("-")[2] for v in per_video) == {"av": 12, "household": 12}
    letters = Counter(q.answer for q in shipped.questions)
    assert max(letters.values()) - min(letters.values()) <= 1
    other = sum(q.capability in ("colour", "counting") for q in shipped.questions)
    assert 0.15 <= other / len(shipped.questions) <= 0.25
    for question in shipped.questions:
        assert parse(question.text).choices == question.choices
        assert len(question.choices) == 4


def test_every_evidence_is_met_by_few_uniform_frames(shipped):
    sampled = uniform_indices(100, 6)
    for question in shipped.questions:
        (evidence,) = question.evidence
        assert evidence.end_seconds - evidence.start_seconds >= 20
        assert any(evidence.box_at(float(second)) for second in sampled)
    for index in range(4):
        for question in generate(RenderSettings(seconds=300), index)[1]:
            (evidence,) = question.evidence
            assert any(evidence.box_at(float(second)) for second in uniform_indices(300, 16))


def test_a_video_depends_on_its_index_and_settings_alone():
    alone = generate(SHIPPED, 5)
    assert benchmark(SHIPPED, 6).questions[-len(alone[1]) :] == tuple(alone[1])
    for other in (
        replace(SHIPPED, seed=1),
        replace(SHIPPED, fps=2),
        replace(SHIPPED, min_evidence_seconds=19),
        replace(SHIPPED, split="training"),
    ):
        video, questions, _ = generate(other, 5)
        assert video.video_id != alone[0].video_id
        assert [q.choices for q in questions] != [q.choices for q in alone[1]]


def similarity(a: str, b: str) -> float:
    return Levenshtein.normalized_similarity(a, b)


def medoid(choices) -> int:
    """The option that is most like the others, which a guesser who sees no video would take."""
    sums = [sum(similarity(a, b) for b in choices) for a in choices]
    return sums.index(max(sums))


def outlier(choices) -> int:
    sums = [sum(similarity(a, b) for b in choices) for a in choices]
    return sums.index(min(sums))


@pytest.mark.parametrize(
    "guess",
    [
        lambda q: 0,
        lambda q: max(range(4), key=lambda i: len(q.choices[i])),
        lambda q: medoid(q.choices),
        lambda q: outlier(q.choices),
        lambda q: max(range(4), key=lambda i: similarity(q.choices[i], q.stem)),
        lambda q: sorted(range(4), key=lambda i: q.choices[i])[0],
        lambda q: sorted(range(4), key=lambda i: q.choices[i])[1],
    ],
    ids=["A", "longest", "medoid", "outlier", "like the stem", "first sorted", "second sorted"],
)
def test_options_alone_give_nothing_away(many, guess):
    right = np.mean([q.letters[guess(q)] == q.answer for q in many])
    assert abs(right - 0.25) <= 0.04


def test_key_never_stands_in_the_stem(many):
    assert not [
        q for q in many if q.choices["ABCD".index(q.answer)].casefold() in q.stem.casefold()
    ]


def test_text_options_are_equally_far_from_each_other(many):
    for question in many:
        if question.capability == "text":
            spread = {
                tuple(
                    sorted(sum(x != y for x, y in zip(a, b, strict=True)) for b in question.choices)
                )
                for a in question.choices
            }
            assert len(spread) == 1


@pytest.mark.parametrize("index", range(12))
def test_referent_decides_between_strings_that_are_all_in_the_video(index):
    _, questions, scene = generate(SHIPPED, index)
    things = [thing for _, _, thing in scene.placed() if thing.anchor]
    assert len({thing.anchor for thing in things}) == len(things)
    shown = Counter(thing.string for thing in things)
    for question in questions:
        (named,) = [thing for thing in things if f'"{thing.anchor}"' in question.stem]
        key = question.choices["ABCD".index(question.answer)]
        others = [choice for choice in question.choices if choice != key]
        same_kind = [thing for thing in things if thing.kind == named.kind and thing != named]
        if question.capability == "text":
            assert named.string == key
            assert shown[key] == 1
            assert sorted(shown[choice] for choice in others) == [0, 1, 1]
        elif question.capability == "colour":
            assert named.mark == key
            assert len({t.mark for t in same_kind} & set(others)) >= 2
        else:
            assert str(named.count) == key
            assert len({str(t.count) for t in same_kind} & set(others)) >= 2


@pytest.mark.parametrize(
    "words",
    [
        [*street.SHOPS, *street.BADGES, *street.DISHES, *street.EVENTS, *street.STOPS],
        [*home.AUTHORS, *home.GOODS, *home.TOWNS, *home.ERRANDS, *home.DEVICES],
    ],
    ids=["av", "household"],
)
def test_anchors_cannot_be_taken_for_each_other(words):
    assert max(similarity(a, b) for a, b in itertools.combinations(words, 2)) < 0.7


def test_small_print_is_18_to_32_pixels_high():
    heights = {
        details(thing).string.cap_height
        for index in range(40)
        for _, _, thing in generate(SHIPPED, index)[2].placed()
        if thing.string
    }
    assert (min(heights), max(heights)) == (18, 32)


@pytest.mark.parametrize("index", [0, 1])
def test_evidence_boxes_hold_the_print_and_nothing_but_it(index):
    _, questions, scene = generate(SHIPPED, index)
    asked = [q for q in questions if q.capability == "text"]
    for question in asked[:4]:
        (evidence,) = question.evidence
        second = int(evidence.end_seconds) - 1
        key = question.choices["ABCD".index(question.answer)]
        other = question.choices["ABCD".index(question.answer) - 1]
        box = evidence.box_at(float(second))
        before = luma_near(scene, second, box)
        after = luma_near(with_string(scene, key, other), second, box)
        rows, columns = np.nonzero(before != after)
        assert len(rows) > 20
        assert box[0] <= columns.min() and columns.max() < box[2]
        assert box[1] <= rows.min() and rows.max() < box[3]


def with_string(scene, old: str, new: str):
    def change(thing):
        return replace(thing, string=new) if thing.string == old else thing

    return with_things(scene, lambda shot, layer: tuple(change(t) for t in layer.things))


def with_things(scene, choose):
    shots = tuple(
        replace(
            shot,
            layers=tuple(replace(layer, things=choose(shot, layer)) for layer in shot.layers),
        )
        for shot in scene.shots
    )
    return replace(scene, shots=shots)


def luma_near(scene, second: int, box) -> np.ndarray:
    """The luma of one frame on which only what is near a box is drawn, to save time."""

    def near(shot, layer):
        shift = layer.speed * (second - shot.start_seconds)
        return tuple(
            t
            for t in layer.things
            if t.x + shift < box[2]
            and box[0] < t.x + shift + t.width
            and t.y < box[3]
            and box[1] < t.y + t.height
        )

    return drawing.frame_at(with_things(scene, near), second)[:2160].copy()


@pytest.mark.parametrize("seed", [26, 31])
def test_what_is_to_be_counted_lies_on_its_thing(seed):
    """Of seed 26 the first shop that is asked about had eight pots and room for seven."""
    for index in range(4):
        _, questions, scene = generate(RenderSettings(seed=seed), index)
        (asked,) = (q for q in questions if q.capability == "counting")
        key = int(asked.choices["ABCD".index(asked.answer)])
        named = [t for *_, t in scene.placed() if t.anchor and f'"{t.anchor}"' in asked.stem]
        assert named
        for thing in named:
            parts = details(thing).counted
            assert len(parts) == key
            left, _, right, _ = thing.box
            assert all(left <= x0 and x1 <= right for x0, _, x1, _ in parts)


def test_splits_share_no_photograph_and_no_string():
    benchmark_files, training_files = photographs.names("benchmark"), photographs.names("training")
    assert not set(benchmark_files) & set(training_files)
    assert len(benchmark_files) * 3 == len(photographs.catalogue())
    for index in range(6):
        for split in ("benchmark", "training"):
            _, questions, scene = generate(replace(SHIPPED, split=split), index)
            used = [thing.string for _, _, thing in scene.placed() if thing.string]
            used += [c for q in questions if q.capability == "text" for c in q.choices]
            assert {strings.split_of(string) for string in used} == {split}


def test_photographs_are_the_files_that_the_catalogue_describes():
    folder = PACKAGE / "photographs"
    for photo in photographs.catalogue():
        assert hashlib.sha256((folder / photo.file).read_bytes()).hexdigest() == photo.sha256
        height, width = photographs.pixels(photo.file).shape[:2]
        for boxes in photo.regions.values():
            assert all(0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height for x0, y0, x1, y1 in boxes)
    licences = (PACKAGE.parents[1] / "LICENSES.md").read_text("utf-8")
    for photo in photographs.catalogue():
        (line,) = [line for line in licences.splitlines() if photo.file in line]
        assert photo.author in line and photo.license in line
        assert line.endswith("| yes |") == photo.is_reserved


def test_licence_of_a_video_follows_from_its_photographs():
    assert generate(SHIPPED, 0)[0].license == "CC-BY-4.0"
    assert generate(replace(SHIPPED, split="training"), 0)[0].license == "CC-BY-SA-4.0"


def test_advance_widths_are_those_of_the_shipped_fonts():
    for name, file in lettering.FONTS.items():
        font = ImageFont.truetype(
            str(PACKAGE / "fonts" / f"{file}.ttf"),
            lettering.UNITS,
            layout_engine=ImageFont.Layout.BASIC,
        )
        table = lettering.advances()[file]
        assert {c: font.getlength(c) for c in table} == table, name
        assert -font.getbbox("H", anchor="ls")[1] == lettering.CAP_UNITS


def test_draws_are_fixed_and_fair():
    chance = Chance("test", 1)
    assert [chance.below(100) for _ in range(6)] == [62, 25, 99, 90, 14, 42]
    die = Chance("die")
    counts = Counter(die.below(6) for _ in range(6000))
    assert all(abs(count - 1000) < 150 for count in counts.values())
    assert sorted(die.shuffled(range(20))) == list(range(20))


@pytest.mark.parametrize(
    "settings",
    [
        RenderSettings(seconds=8, min_evidence_seconds=1, fps=60),
        RenderSettings(seconds=600, min_evidence_seconds=120),
        RenderSettings(seconds=3600),
    ],
    ids=str,
)
def test_any_settings_give_whole_scenes(settings):
    for index in range(4):
        _, questions, scene = generate(settings, index)
        assert len(questions) == 9
        for question in questions:
            (evidence,) = question.evidence
            assert evidence.end_seconds - evidence.start_seconds >= settings.min_evidence_seconds
            assert evidence.end_seconds <= settings.seconds
            assert all(x1 <= 3840 and y1 <= 2160 for _, _, _, x1, y1 in evidence.boxes)
        # Chroma has a sample for two pixels: what is odd would come apart.
        for _, _, thing in scene.placed():
            assert not any(n % 2 for n in (thing.x, thing.y, thing.width, thing.height))


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("seconds", 99, "Allowed is 100"),
        ("fps", 0, "Allowed is 1 to 60"),
        ("seed", -1, "--seed: -1"),
        ("min_evidence_seconds", 0, "--min-evidence-seconds: 0"),
    ],
)
def test_settings_out_of_range_are_refused(field, value, said):
    with pytest.raises(UserError, match=said):
        replace(SHIPPED, **{field: value})


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """Two short videos, rendered once; the cache and the folder that they are in."""
    root = tmp_path_factory.mktemp("rendered")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HLVID_CACHE", str(root / "cache"))
        yield root, render(root / "out", SHORT, num_videos=2)


def frame_digests(path: Path) -> list[str]:
    with av.open(str(path)) as file:
        return [
            hashlib.sha256(frame.to_ndarray().tobytes()).hexdigest()
            for frame in file.decode(video=0)
        ]


def test_videos_are_what_their_records_say(rendered):
    root, done = rendered
    found = datasets.load(str(root / "out"))
    assert (done.num_rendered, done.damaged) == (2, ())
    assert done.num_questions == len(found.questions) == 18
    for video_id in found.video_ids:
        record = found.videos[video_id]
        with av.open(str(found.video_path(video_id))) as file:
            stream = file.streams.video[0]
            assert stream.codec_context.name == "h264"
            assert (stream.width, stream.height) == (record.width, record.height) == (3840, 2160)
            assert stream.average_rate == record.fps == 2
            assert stream.duration * stream.time_base == record.duration_seconds == 8
            assert "Berasategi" in file.metadata["comment"]
            keys = [
                float(packet.pts * packet.time_base)
                for packet in file.demux(stream)
                if packet.is_keyframe and packet.size
            ]
        assert keys == [0.0, 5.0]


def test_rendering_again_takes_what_is_there(rendered):
    root, done = rendered
    videos = root / "other" / "videos"
    videos.mkdir(parents=True)
    first, second = (Path(name).name for name in done.videos)
    shutil.copyfile(root / "out" / "videos" / first, videos / first)
    (videos / second).write_bytes(b"something else")
    before = (videos / first).stat()
    assert render(root / "other", SHORT, num_videos=2).num_rendered == 0
    after = (videos / first).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert (videos / second).samefile(root / "out" / "videos" / second)


def test_a_damaged_file_is_rendered_again_with_the_same_frames(rendered):
    root, done = rendered
    path = root / "out" / done.videos[1]
    frames = frame_digests(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    again = render(root / "out", SHORT, num_videos=2)
    assert again.num_rendered == 1
    assert again.damaged == (Path(done.videos[1]).stem,)
    assert frame_digests(path) == frames


def test_a_killed_rendering_leaves_no_half_video_and_no_process(tmp_path):
    folder = tmp_path / "cache" / "hlvid-synthetic" / "videos"
    command = [sys.executable, "-c", "from hlvid.cli import main; main()", "render", "--videos=1"]
    process = subprocess.Popen(
        [*command, "--seconds=100", f"--out={tmp_path / 'out'}"],
        env={**os.environ, "HLVID_CACHE": str(tmp_path / "cache")},
        stderr=subprocess.DEVNULL,
    )
    while not (parts := list(folder.glob(".*.part"))):
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    name, worker, _ = parts[0].name.removeprefix(".").rsplit(".", 2)
    deadline = time.monotonic() + 60
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{worker}").exists()
    assert not list(tmp_path.rglob("*.mp4"))
    assert not (tmp_path / "out").exists()
    encoding.encode([np.full((96, 64), 128, dtype=np.uint8)], folder / name, fps=1)
    assert [path.name for path in folder.iterdir()] == [name]


def test_command_tells_its_result_as_json(rendered):
    root, done = rendered
    command = [sys.executable, "-c", "from hlvid.cli import main; main()", "render", "--json"]
    flags = ["--videos=2", "--seconds=8", "--seed=3", "--fps=2", "--min-evidence-seconds=1"]
    told = subprocess.run(
        [*command, *flags, f"--out={root / 'out'}"], capture_output=True, text=True, check=True
    )
    result = json.loads(told.stdout)
    assert result["videos"] == list(done.videos)
    assert result["num_rendered"] == 0
    assert "next: hlvid-eval" in told.stderr


def test_command_refuses_in_one_sentence():
    command = [sys.executable, "-c", "from hlvid.cli import main; main()", "render"]
    told = subprocess.run([*command, "--seconds=20"], capture_output=True, text=True, check=False)
    assert told.returncode == 2
    assert told.stderr.splitlines() == [
        "error: --seconds: 20 is not allowed. Allowed is 100 (room for evidence of 20 s) to 3600."
    ]
