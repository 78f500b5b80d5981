"""The one-way rule between the packages, and what may be imported without a GPU stack."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "hlvid": set(),
    "gaze": {"hlvid"},
    "evaluators": {"hlvid", "gaze"},
    "leaderboard": {"hlvid"},
}
NEVER_IMPORTS = {
    "hlvid": {"torch", "lmms_eval"},
    "gaze": {"lmms_eval"},
    "evaluators": set(),
    "leaderboard": {"torch", "lmms_eval"},
}
COMMANDS = {
    "hlvid-build": "hlvid.cli:main",
    "hlvid-gaze": "gaze.cli:main",
    "hlvid-eval": "evaluators.cli:main",
    "hlvid-leaderboard": "leaderboard.cli:main",
}
HEAVY = {
    "av", "cv2", "datasets", "lmms_eval", "numpy", "openvino", "pandas", "PIL", "pyarrow",
    "rapidocr", "scipy", "torch", "transformers",
}  # fmt: skip
MAX_LINES = 400
FORBIDDEN_NAMES = {"utils", "common", "helpers", "base", "manager"}


def sources(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found, f"{package} has no source files"
    return found


def imported(source: str) -> Iterator[str]:
    """The top-level packages that a source file imports, also inside functions and by name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield str(node.module).split(".")[0]
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = ast.unparse(node.func).rpartition(".")[2]
            if called in ("import_module", "__import__", "run_module"):
                yield str(node.args[0].value).split(".")[0]


def test_the_walk_sees_every_kind_of_import() -> None:
    source = (
        "import a.b, c\nfrom d.e import f\nfrom . import g\n"
        "def h():\n    import i\n    importlib.import_module('j.k')\n    __import__('l')\n"
    )
    assert set(imported(source)) == {"a", "c", "d", "i", "j", "l"}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_point_one_way(package: str) -> None:
    refused = set(MAY_IMPORT) - MAY_IMPORT[package] - {package} | NEVER_IMPORTS[package]
    for source in sources(package):
        found = refused & set(imported(source.read_text(encoding="utf-8")))
        assert not found, f"{source.relative_to(ROOT)} imports {', '.join(sorted(found))}"


def test_only_evaluators_know_lmms_eval() -> None:
    importers = {
        package
        for package in MAY_IMPORT
        for source in sources(package)
        if "lmms_eval" in imported(source.read_text(encoding="utf-8"))
    }
    assert importers == {"evaluators"}


@pytest.mark.parametrize("package", ["hlvid", "leaderboard"])
def test_a_checker_needs_no_gpu_stack(package: str) -> None:
    code = (
        "import importlib, pkgutil, sys\n"
        f"package = importlib.import_module({package!r})\n"
        f"for module in pkgutil.walk_packages(package.__path__, {package + '.'!r}):\n"
        "    importlib.import_module(module.name)\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent
    )
    loaded = set(ran.stdout.split())
    assert package in loaded
    refused = {"torch", "lmms_eval", "transformers", *MAY_IMPORT} - MAY_IMPORT[package] - {package}
    assert not loaded & refused


def test_the_four_commands_are_published() -> None:
    published = metadata.distribution("hlvid").entry_points.select(group="console_scripts")
    assert {entry.name: entry.value for entry in published} == COMMANDS


def help_of(*words: str) -> str:
    """What `COMMAND ... --help` prints, after a look at what it imports."""
    script = Path(sys.executable).parent / words[0]
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", script, *words[1:], "--help"],
        capture_output=True,
        text=True,
    )
    said = [line for line in ran.stderr.splitlines() if not line.startswith("import time:")]
    assert ran.returncode == 0, said
    loaded = set(re.findall(r"^import time:.*\| *([A-Za-z0-9_]+)", ran.stderr, re.MULTILINE))
    assert "typer" in loaded
    assert not loaded & HEAVY, f"{' '.join(words)} --help imports {sorted(loaded & HEAVY)}"
    return ran.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_imports_nothing_heavy(command: str) -> None:
    text = help_of(command)
    assert f"Usage: {command}" in text
    listed = text.partition("Commands:\n")[2].partition("\n\n")[0]
    commands = re.findall(r"^  ([a-z][a-z-]*)", listed, re.MULTILINE)
    for name in commands:
        assert f"Usage: {command} {name}" in help_of(command, name)


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_files_can_be_read_in_one_sitting(package: str) -> None:
    for source in sources(package):
        num_lines = source.read_text(encoding="utf-8").count("\n")
        assert num_lines <= MAX_LINES, f"{source.relative_to(ROOT)} has {num_lines} lines"
        assert source.stem.lower() not in FORBIDDEN_NAMES, source.relative_to(ROOT)


def test_tests_do_not_shadow_the_packages() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_no_test_lies_where_pytest_does_not_look(pytestconfig):
    """Its own list of folders to pass over has `build`, where 400 tests once lay unseen."""
    passed_over = set(pytestconfig.getini("norecursedirs"))
    for path in (ROOT / "tests").rglob("test_*.py"):
        assert not passed_over & set(path.relative_to(ROOT).parts), path
