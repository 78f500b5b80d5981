"""The same manifests on Ray. Ray takes 270 MB and is not installed for the tests."""

import pytest
from typer.testing import CliRunner

from hlvid.build.rebuild import rebuild
from hlvid.build.report import content_digests, reconcile
from hlvid.build.telling import ORDER
from hlvid.cli import app

pytestmark = pytest.mark.ray


@pytest.fixture
def on_ray():
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def test_a_cluster_gives_what_one_process_gives(workshop, clips, waves, on_ray):
    workshop.take(
        clips.make(),
        clips.make(name="other", pictures=[waves(number) for number in range(30)]),
        clips.make(name="short", num_frames=6),
    )
    here = workshop.run()
    folder = workshop.folder / "cluster"
    for verb in ORDER[: ORDER.index("lint")]:
        words = [verb, str(workshop.spec), "--work", str(folder)]
        if verb in ("probe", "clip", "index", "dedup"):
            words += ["--executor", "ray", "--workers", "2"]
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
    there = workshop.open("cluster")
    assert content_digests(there) == content_digests(here)
    assert reconcile(there, verify=True) == []
    assert rebuild(there, num_workers=2).differences == ()
    for stage in ("probe", "fingerprint"):
        names = {path.name for path in (folder / "journal" / stage).iterdir()}
        assert names <= {"0-of-2.jsonl", "1-of-2.jsonl"}
