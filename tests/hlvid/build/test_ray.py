"""The same manifests on Ray. Ray takes 270 MB and is not installed for the tests."""

import pytest

from hlvid.build.report import content_digests, reconcile
from hlvid.build.stages import STAGES

pytestmark = pytest.mark.ray


@pytest.fixture
def on_ray():
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def test_a_cluster_gives_what_one_process_gives(workshop, clips, on_ray):
    from hlvid.build.engine import run_stage
    from hlvid.build.ray_executor import run_on_ray

    workshop.take(clips.make(), clips.make(name="short", num_frames=6))
    here = workshop.run()
    spec = workshop.spec
    folder = workshop.folder / "cluster"
    for stage in STAGES:
        if stage.runs_on == "cores":
            shards = 1 if stage.needs_all else 2
            run_on_ray(folder, spec, stage.name, num_shards=shards)
        run_stage(workshop.open("cluster"), stage)
    there = workshop.open("cluster")
    assert content_digests(there) == content_digests(here)
    assert reconcile(there, verify=True) == []
    names = {path.name for path in (folder / "journal" / "probe").iterdir()}
    assert names <= {"0-of-2.jsonl", "1-of-2.jsonl"}
