"""torchaudio may be installed and broken."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import thanosql_dbapi
from thanosql_dbapi.assets import RECORDINGS
from thanosql_dbapi.models import stack
with thanosql_dbapi.connect(root=RECORDINGS, progress=False) as connection:
    sql = "PREDICT USING voice_tiny AS SELECT 'test_01.flac' AS audio"
    print(len(connection.execute(sql).fetchall()), stack.torchaudio())
"""


def test_a_broken_torchaudio_harms_nobody(tmp_path: Path) -> None:
    package = tmp_path / "torchaudio"
    package.mkdir()
    (package / "__init__.py").write_text("raise OSError('libcudart.so is missing')")
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert finished.stdout == "1 None\n", finished.stderr
