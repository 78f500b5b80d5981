"""What tests of several packages share."""

import importlib.util
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


def _load(name: str) -> Any:
    """A module beside this file; tests are no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def published() -> Any:
    """Invented benchmarks in the layouts in which the real ones were published."""
    return _load("published")


@pytest.fixture
def hub() -> Iterator[Any]:
    """An empty hub on the loopback address: `tests/hub_server.py`."""
    with _load("hub_server").HubServer() as server:
        yield server


@pytest.fixture(autouse=True)
def interrupts() -> Iterator[None]:
    """What Ctrl-C does stays as it is: a command that ran in this process ignores it at its end."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)
