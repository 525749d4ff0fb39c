"""A demo server of our own for the whole session, and the people who use it."""

import json
import os
import queue
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from issuer import Issuer

START_SECONDS = 120
STOP_SECONDS = 20


@pytest.fixture(scope="session")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    """`officials-card demo` on a free port; it is stopped by its own process, whatever happens."""
    folder = tmp_path_factory.mktemp("demo")
    command = [os.environ["OFFICIALS_CARD_BIN"], "demo", "--dir", str(folder), "--listen", "127.0.0.1:0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Issuer(json.loads(first_line(process)))
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def first_line(process: subprocess.Popen) -> str:
    """The line that says that the server is ready, which it must say in time."""
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=lambda: lines.put(process.stdout.readline()), daemon=True).start()
    line = lines.get(timeout=START_SECONDS)
    assert line, "the demo ended before it was ready"
    return line


@pytest.fixture
def wallet(issuer: Issuer, tmp_path: Path):
    """The reference wallet: `wallet("show")` gives what it prints."""

    def run(*arguments: str, succeeds: bool = True, **environment: str) -> str:
        command = [os.environ["OFFICIALS_CARD_WALLET"], "--dir", str(tmp_path / "wallet"), *arguments]
        own = {**os.environ, **environment}
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=own)
        assert (done.returncode == 0) == succeeds, done.stderr
        return done.stdout if succeeds else done.stderr

    return run
