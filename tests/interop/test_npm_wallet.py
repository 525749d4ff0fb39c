"""A wallet made of other people's libraries (npm/) takes its cards by both flows, with a person at a real browser."""

import os
import re
import subprocess
from pathlib import Path

import pytest

NPM = Path(__file__).parent / "npm"
STORIES = re.findall(r'^test\("(.+?)"', (NPM / "wallet.test.mjs").read_text(), re.MULTILINE)
PATIENCE_SECONDS = 120


def test_the_stories_are_found():
    assert len(STORIES) >= 8


@pytest.mark.parametrize("story", STORIES)
def test_story(issuer, story):
    environment = {**os.environ, "OFFICIALS_CARD_DEMO": str(Path(issuer.demo["dir"], "demo.json"))}
    command = ["node", "--test", "--test-reporter=tap", f"--test-name-pattern=/^{re.escape(story)}$/", "wallet.test.mjs"]
    done = subprocess.run(
        command, cwd=NPM, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # A pattern that fits nothing would pass as well.
    assert f"ok 1 - {story}" in done.stdout
    assert "# pass 1\n" in done.stdout
