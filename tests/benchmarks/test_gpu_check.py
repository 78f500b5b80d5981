import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
ABSENT = ("typer", "pydantic", "platformdirs", "scipy", "pandas", "av", "PIL", "transformers")
"""What a GPU machine without this package's dependencies lacks; it has torch and numpy."""


def test_gpu_check_starts_without_the_packages_that_a_bare_gpu_machine_lacks() -> None:
    program = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({ABSENT!r}))\n"
        f"sys.path[:0] = [{str(BENCHMARKS)!r}, {str(BENCHMARKS.parent)!r}]\n"
        "import gpu_check\n"
        "print(callable(gpu_check.main))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
