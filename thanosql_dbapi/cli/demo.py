"""`thanosql demo`: the main job in one command, on recordings that come with the package.

The story is a list of statements; a model hears calls to a shop's help line, learns from some of
them, and its transcripts are queried as any column. It knows no more of the models than a user.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import tempfile
import time
from contextlib import closing
from pathlib import Path

from .. import assets
from ..connection import connect
from ..exceptions import OperationalError
from .media import for_terminal
from .screen import Screen

#: How often the training goes over the calls.
EPOCHS = 20

#: Each step: what it is for, and its statement.
STORY: tuple[tuple[str, str], ...] = (
    (
        "Recorded calls to a shop's help line, with what was said: some to learn from,",
        "COPY calls FROM 'calls_train.csv'",
    ),
    ("and some to test on.", "COPY calls_test FROM 'calls_test.csv'"),
    (
        "What the recordings are:",
        "PRINT AUDIO AS SELECT audio_path, text FROM calls_test ORDER BY audio_path LIMIT 4",
    ),
    (
        "What the bundled model hears, beside what was said:",
        """SELECT text, predicted
FROM (PREDICT USING voice_tiny AS SELECT * FROM calls_test)
ORDER BY audio_path LIMIT 8""",
    ),
    ("How often it is wrong:", "EVALUATE USING voice_tiny AS SELECT * FROM calls_test"),
    (
        "A model of our own, built on it with the calls:",
        f"""BUILD MODEL my_voice USING Wav2Vec2Tiny
OPTIONS (max_epochs={EPOCHS}, batch_size=8)
AS SELECT * FROM calls""",
    ),
    (
        "How often that one is wrong, on calls it never heard:",
        "EVALUATE USING my_voice AS SELECT * FROM calls_test",
    ),
    (
        "And the transcripts are a column as any other: who asks for a refund?",
        """SELECT region, count(*) AS calls,
       count(*) FILTER (predicted LIKE '%refund%') AS refunds
FROM (PREDICT USING my_voice AS SELECT * FROM calls_test)
GROUP BY region ORDER BY refunds DESC, region""",
    ),
)


def demo(given: argparse.Namespace) -> int:
    """Tell the story in a temporary folder, or in a new one that is kept."""
    if given.keep is None:
        with tempfile.TemporaryDirectory(prefix="thanosql-demo-") as temporary:
            _tell(
                Path(temporary), given.device, "thanosql demo --keep FOLDER leaves all this there"
            )
        return 0
    folder = Path(given.keep).expanduser()
    if folder.exists():
        raise OperationalError(f"'{folder}' exists already; --keep wants a new folder")
    flags = shlex.join(["--database", str(folder / "demo.db"), "--root", str(folder)])
    _tell(folder, given.device, f"thanosql shell {flags}")
    return 0


def _tell(folder: Path, device: str, then: str) -> None:
    shutil.copytree(assets.RECORDINGS, folder, dirs_exist_ok=True)
    screen = Screen(rows=0)
    started = time.monotonic()
    with closing(connect(folder / "demo.db", root=folder, device=device)) as connection:
        for purpose, sql in STORY:
            screen.say(f"\n{purpose}", style="bold")
            screen.statement(sql)
            text, printed = for_terminal(sql, screen.rows)
            with connection.execute(text) as cursor:
                screen.show(cursor, printed)
    screen.say(f"\nDone in {time.monotonic() - started:.0f} s. Next: {then}", style="bold")
