"""The set as a folder to publish: made from the lock and the manifests, and from nothing else.

data/, structured/    SPLIT-00000-of-00001.parquet: the five columns of HLVid as released,
                      and everything that is known of each question
videos/               the clips as they were cut
SPLIT/                the same questions for `hlvid-eval --benchmark SPLIT --data .`
clips.jsonl, splits.lock.jsonl, tombstones.jsonl, facts.json
README.md, CHANGELOG.md, croissant.json, manifest.json
"""

import platform
import shutil
import uuid
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from hlvid import datasets
from hlvid.build.adjudicate import ADJUDICATE, Settled
from hlvid.build.card import card, changelog
from hlvid.build.codes import as_sentence
from hlvid.build.croissant import croissant
from hlvid.build.discover import DISCOVER
from hlvid.build.facts import Pair, facts
from hlvid.build.linking import link_or_copy
from hlvid.build.lock import LOCK_FILE, Lock, lock_path, read_lock, version_key
from hlvid.build.measuring import SEEING
from hlvid.build.records import Clip, Media, Text
from hlvid.build.rows import (
    COLUMNS,
    ClipRow,
    content_sha256,
    default_parquet,
    default_row,
    question_of,
    structured_parquet,
    structured_row,
    video_name,
    video_of,
)
from hlvid.build.set_rules import Version
from hlvid.build.split import member_of
from hlvid.build.work import TOMBSTONES_FILE, Work
from hlvid.errors import UserError
from hlvid.files import (
    canonical_json,
    digest_records,
    id_order,
    json_bytes,
    read_json,
    sha256_file,
    write_bytes,
    write_json,
    write_jsonl,
)
from hlvid.types import Identifier, Question, Record, Sha256

MANIFEST_FILE = "manifest.json"
CROISSANT_FILE = "croissant.json"
CARD_FILE = "README.md"
CHANGELOG_FILE = "CHANGELOG.md"
FACTS_FILE = "facts.json"
CLIPS_FILE = "clips.jsonl"
MAX_VIDEOS = 10_000
"""Files in one folder of the hub."""


class PackageManifest(Record):
    """What a package holds: `manifest.json`, the one file that it does not list."""

    name: Identifier
    version: Version
    canary: str
    num_questions: int
    num_videos: int
    files: Mapping[str, Media]
    """Path -> digest and size of its bytes."""
    content_sha256: Mapping[str, Sha256]
    """Digests that a rebuild must reach whatever wrote the files: 'default/test', 'structured/test'
    and so on, 'clips' and 'lock'."""
    made_with: Mapping[str, Text]
    """What decides about the bytes: Python and the packages that write."""


def package(work: Work, folder: Path) -> PackageManifest:
    """Write the package of what the lock holds.

    Args:
        work: The work folder; `split` must have been run.
        folder: Made anew; a package that lies there is replaced.

    Raises:
        UserError: The lock is not what is settled now, a clip is not in the store, or the folder
            holds something else.
    """
    _check_folder(folder)
    lock = read_lock(lock_path(work.bench.spec_folder))
    pairs = _pairs(work, lock)
    part, before = (folder.with_name(f".{folder.name}.{end}") for end in ("part", "before"))
    with work.locked("package"):
        if before.exists() and not folder.exists():
            before.rename(folder)  # killed before the new one was in its place
        _remove(part, before)
        try:
            manifest = _write(work, lock, pairs, part)
            folder.parent.mkdir(parents=True, exist_ok=True)
            if folder.exists():
                folder.rename(before)
            part.rename(folder)
            _remove(before)
        finally:
            _remove(part)
    return manifest


def _check_folder(folder: Path) -> None:
    """Refuse a place where no folder can be made, or where something else lies."""
    if folder.name in ("", ".."):
        raise UserError(f"{folder}: has no name of its own. Name a folder for the package alone.")
    try:
        is_taken = not (folder / MANIFEST_FILE).is_file() and any(folder.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be a folder ({error.strerror}). Name one for the package alone."
        ) from None
    if is_taken:
        raise UserError(f"{folder}: holds something else. Name a folder for the package alone.")


def _remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _pairs(work: Work, lock: Lock) -> list[Pair]:
    """The questions of the set with their lines, in the order of the lock."""
    settled = {item.id: each for item, each in work.passed(ADJUDICATE)}
    lines = lock.active
    if not lines or {line.question_id for line in lines} != set(settled):
        raise UserError(
            f"package: {LOCK_FILE} does not hold what is settled now. Run: hlvid-build split SPEC.",
            exit_code=1,
        )
    for line in lines:
        if not line.holds(member_of(settled[line.question_id])):
            raise UserError(
                f"package: question {line.question_id} is not as {LOCK_FILE} holds it. Raise "
                "split.version and run: hlvid-build split SPEC.",
                exit_code=1,
            )
    if version_key(work.spec.split.version) < version_key(lock.version):
        raise UserError(
            f"package: the spec says version {work.spec.split.version}, {LOCK_FILE} ends with "
            f"{lock.version}. Allowed is that version or a newer one."
        )
    return [(line, settled[line.question_id]) for line in lines]


def _write(work: Work, lock: Lock, pairs: Sequence[Pair], folder: Path) -> PackageManifest:
    canary = canary_of(work.spec.name, work.spec.split.salt)
    splits = sorted({line.split for line, _ in pairs})
    clips = _clips(pairs)
    records = _clip_records(work, clips, pairs)
    digests = {"lock": digest_records(lock.lines), "clips": digest_records(records)}
    for split in splits:
        mine = [(line, settled) for line, settled in pairs if line.split == split]
        digests |= _write_split(work, split, mine, records, folder, canary)
    for clip in clips:
        with as_sentence(f"package: clip {clip.clip_id}"):
            path = work.store.path(clip.file)
        link_or_copy(path, folder / "videos" / video_name(clip.clip_id))
    write_jsonl(folder / CLIPS_FILE, records)
    write_bytes(folder / LOCK_FILE, [lock.to_bytes()])
    tombs = sorted(work.tombstones.values(), key=lambda tomb: id_order(tomb.id))
    told = [{"id": tomb.id, "reason": tomb.reason} for tomb in tombs]
    write_bytes(folder / TOMBSTONES_FILE, (canonical_json(each) + b"\n" for each in told))
    known = facts(work, pairs)
    write_json(folder / FACTS_FILE, known)
    about: dict[str, Any] = {
        "name": work.spec.name,
        "version": work.spec.split.version,
        "rules": work.spec.package,
        "facts": known,
    }
    page = card(**about, tombstones=tombs, lines=lock.lines, canary=canary)
    write_bytes(folder / CARD_FILE, [page.encode()])
    log = f"# Changes\n\n{changelog(lock.lines, work.spec.package, work.spec.split.version)}"
    write_bytes(folder / CHANGELOG_FILE, [log.encode()])
    described = croissant(**about, files=_files(folder), splits=splits, columns=COLUMNS)
    write_bytes(folder / CROISSANT_FILE, [json_bytes(described)])
    manifest = PackageManifest(
        name=work.spec.name,
        version=work.spec.split.version,
        canary=canary,
        num_questions=len(pairs),
        num_videos=len(clips),
        files=_files(folder),
        content_sha256=digests,
        made_with={
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in ("hlvid", "pyarrow", "av")},
        },
    )
    write_json(folder / MANIFEST_FILE, manifest)
    return manifest


def _write_split(
    work: Work,
    split: str,
    pairs: Sequence[Pair],
    records: Sequence[ClipRow],
    folder: Path,
    canary: str,
) -> dict[str, str]:
    """Write a split's files; the digests of their content."""
    questions = [question_of(settled.draft, line) for line, settled in pairs]
    rows = {
        "default": [default_row(question) for question in questions],
        "structured": [
            structured_row(question, **_more(settled), canary=canary)
            for question, (_, settled) in zip(questions, pairs, strict=True)
        ],
    }
    name = f"{split}-00000-of-00001.parquet"
    write_bytes(folder / "data" / name, [default_parquet(rows["default"], canary=canary)])
    data = structured_parquet(rows["structured"], canary=canary)
    write_bytes(folder / "structured" / name, [data])
    datasets.write(folder / split, _benchmark(work, split, questions, records))
    return {f"{config}/{split}": content_sha256(each) for config, each in rows.items()}


def _more(settled: Settled) -> dict[str, Any]:
    """What is known of a question beside its words; of several models that see, the means."""
    measured = [each for each in settled.measured if each.kind in SEEING]
    means = {
        name: sum(getattr(m, name) for m in measured) / len(measured) if measured else None
        for name in ("blind_gap", "resolution_slope")
    }
    return {
        "group_id": settled.group_id,
        "num_replies": settled.num_replies,
        "num_agreeing": settled.num_agreeing,
        "flags": [flag.check for flag in settled.flags],
        "ruling": settled.ruling.reason if settled.ruling else None,
        **means,
    }


def _benchmark(
    work: Work, split: str, questions: Sequence[Question], records: Sequence[ClipRow]
) -> datasets.Benchmark:
    wanted = {question.video_id for question in questions}
    return datasets.Benchmark(
        name=work.spec.name,
        revision=f"{work.spec.split.version}-{split}",
        questions=tuple(questions),
        videos={r.video_path: video_of(r) for r in records if r.video_path in wanted},
        license=work.spec.package.license,
        description=work.spec.package.description,
    )


def _clips(pairs: Sequence[Pair]) -> list[Clip]:
    clips = {settled.clip.clip_id: settled.clip for _, settled in pairs}
    if len(clips) > MAX_VIDEOS:
        raise UserError(f"package: {len(clips)} videos are more than a folder of the hub holds.")
    return [clips[name] for name in sorted(clips, key=id_order)]


def _clip_records(work: Work, clips: Sequence[Clip], pairs: Sequence[Pair]) -> list[ClipRow]:
    """What each clip was cut from, and its digests."""
    groups = {settled.clip.clip_id: settled.group_id for _, settled in pairs}
    candidates = {item.id: item.candidate for item, _ in work.passed(ADJUDICATE)}
    of_clip = {settled.clip.clip_id: candidates[line.question_id] for line, settled in pairs}
    sources = {item.id: source for item, source in work.passed(DISCOVER)}
    found = []
    for clip in clips:
        source = sources[of_clip[clip.clip_id] or ""]
        is_file = source.candidate.kind == "file"
        found.append(
            ClipRow(
                video_path=video_name(clip.clip_id),
                # A path on the curator's machine is nobody's business.
                source=source.candidate.candidate_id if is_file else source.candidate.locator,
                source_start_seconds=clip.start_seconds,
                license=source.license,
                license_evidence=source.license_evidence,
                group_id=groups[clip.clip_id],
                num_bytes=clip.file.num_bytes,
                sha256=clip.file.sha256,
                packets_sha256=clip.packets_sha256,
                duration_seconds=clip.duration_seconds,
                num_frames=clip.num_frames,
                width=clip.width,
                height=clip.height,
                fps=clip.fps,
            )
        )
    return found


def _files(folder: Path) -> dict[str, Media]:
    """Every file of a folder, by its path in it."""
    return {
        path.relative_to(folder).as_posix(): Media(
            sha256=sha256_file(path), num_bytes=path.stat().st_size
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def canary_of(name: str, salt: str) -> str:
    """A GUID that stands nowhere but in this set: who can say it has read the set."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"hlvid:{name}:{salt}"))


def read_manifest(folder: Path) -> PackageManifest:
    """Read what a package says it holds.

    Raises:
        UserError: It is no package, or its manifest is not in order.
    """
    if not (folder / MANIFEST_FILE).is_file():
        raise UserError(f"{folder}: has no {MANIFEST_FILE}. Allowed is a folder of 'package'.")
    return read_json(folder / MANIFEST_FILE, PackageManifest)
