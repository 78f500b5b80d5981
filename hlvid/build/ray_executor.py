"""A stage on a Ray cluster: one remote call a shard, handed paths and numbers, never media.

All machines must see the spec and the work folder at the same paths. Journals and store are as with
`--shard`, so what comes out is the same.
"""

from pathlib import Path
from typing import Any

from hlvid.build.engine import Shard, Tally, run_stage
from hlvid.build.stages import by_name
from hlvid.build.work import Work
from hlvid.errors import UserError


def run_shard(
    folder: str,
    spec: str,
    stage: str,
    index: int,
    count: int,
    *,
    only: str | None = None,
    retry: tuple[str, ...] = (),
) -> Tally:
    """Do one shard of a stage in a process of its own beside this one."""
    work = Work.open(Path(folder), Path(spec))
    shard = Shard(index, count)
    return run_stage(work, by_name(stage), num_workers=1, shard=shard, only=only, retry=retry)


def run_on_ray(
    folder: Path,
    spec: Path,
    stage: str,
    *,
    num_shards: int,
    only: str | None = None,
    retry: tuple[str, ...] = (),
) -> None:
    """Do a stage in as many shards, on the cluster that RAY_ADDRESS names or on this machine.

    Raises:
        UserError: Ray is not installed, or a shard could not go on.
    """
    try:
        import ray
    except ImportError:
        raise UserError(
            "--executor: ray is not installed. Install it: pip install 'hlvid[ray]', or leave "
            "--executor local."
        ) from None
    if not ray.is_initialized():
        ray.init(log_to_driver=False, include_dashboard=False)
    remote: Any = ray.remote(run_shard)
    paths = str(folder.absolute()), str(spec.absolute())
    calls = [
        remote.remote(*paths, stage, index, num_shards, only=only, retry=retry)
        for index in range(num_shards)
    ]
    try:
        ray.get(calls)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, UserError):
            raise UserError(str(cause), exit_code=cause.exit_code) from None
        raise
