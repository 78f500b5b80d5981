"""What is wrong with the videos of a benchmark on this machine, each told by its name."""

from collections.abc import Iterator

from hlvid.datasets.benchmark import Benchmark, MissingVideo
from hlvid.datasets.hub import read_state
from hlvid.errors import UserError

DURATION_TOLERANCE_SECONDS = 1.0


def find_faults(benchmark: Benchmark, *, verify: bool = False) -> Iterator[str]:
    """A sentence for each video that is missing, short, or not what is known of it.

    Args:
        benchmark: With or without records of its videos.
        verify: Also read every packet, and the digest of the files that have one on record.
    """
    state = read_state(benchmark.root) if benchmark.root else None
    lengths = {} if state is None else state.num_bytes
    for video_id in benchmark.video_ids:
        try:
            path = benchmark.video_path(video_id)
        except MissingVideo:
            yield f"video {video_id}: is missing"
            continue
        found = path.stat().st_size
        expected = lengths.get(str(path.relative_to(benchmark.root or path.anchor)), found)
        if found != expected:
            yield f"video {video_id}: is short, {found} of {expected} bytes"
            continue
        try:
            yield from _read(benchmark, video_id, verify=verify)
        except UserError as error:
            yield f"video {video_id}: {error}"


def _read(benchmark: Benchmark, video_id: str, *, verify: bool) -> Iterator[str]:
    from hlvid.digest_cache import sha256_cached
    from hlvid.index_cache import cached_scan
    from hlvid.video_file import container_of, is_cut_short

    path, known = benchmark.video_path(video_id), benchmark.videos.get(video_id)
    container_of(path)
    if is_cut_short(path):
        yield f"video {video_id}: is short, the file promises more bytes than it has"
        return
    if not verify:
        return
    if known and known.sha256 and sha256_cached(path, verify=True) != known.sha256:
        yield f"video {video_id}: does not have its digest {known.sha256}"
        return
    info, _ = cached_scan(path)
    if info.is_truncated:
        yield f"video {video_id}: breaks off after {info.duration_seconds:.1f} s"
    elif known and abs(info.duration_seconds - known.duration_seconds) > DURATION_TOLERANCE_SECONDS:
        yield (
            f"video {video_id}: lasts {info.duration_seconds:.1f} s, not "
            f"{known.duration_seconds:.1f} s as its record says"
        )
