"""What a host's type checker sees, with `FollowMixin` and without it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HOSTS = [str(path) for path in sorted(ROOT.glob("tests/typing/host_*.py"))]
CHECKERS = {
    "mypy": ["mypy", "--strict", "--warn-unused-ignores", "--python-executable", sys.executable],
    "pyright": ["pyright", "--warnings", "--pythonpath", sys.executable],
}


@pytest.mark.parametrize("checker", CHECKERS)
def test_hosts_have_no_type_errors(checker):
    """The type checker finds nothing to say about either host; not being installed is a failure."""
    result = subprocess.run(
        [sys.executable, "-m", *CHECKERS[checker], *HOSTS],
        cwd=ROOT,
        # Pyright would otherwise ask the network whether there is a newer one.
        env={**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
