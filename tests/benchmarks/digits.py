"""Real speech: what a model built on `Wav2Vec2Tiny` makes of recorded digits.

    THANOSQL_SPEECH=<folder> python tests/benchmarks/digits.py [--epochs 20] [--unheard]

Prints the WER on digits/test.csv without fine-tuning, after one epoch and at the end, with the
seconds that training took. `--unheard` leaves each speaker out of the training in turn and scores
that speaker's rows.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import thanosql_dbapi
from thanosql_dbapi import Connection


def wer(connection: Connection, model: str, where: str = "true") -> float:
    sql = f'EVALUATE USING "{model}" AS SELECT * FROM test WHERE {where}'
    return dict(connection.execute(sql).fetchall())["wer"]


def build(
    connection: Connection, options: argparse.Namespace, epochs: int, where: str = "true"
) -> float:
    started = time.monotonic()
    connection.execute(
        "BUILD MODEL digits USING Wav2Vec2Tiny OPTIONS (max_epochs=?, batch_size=?,"
        f" learning_rate=?, overwrite=True) AS SELECT * FROM train WHERE {where}",
        [epochs, options.batch_size, options.learning_rate],
    )
    return time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--unheard", action="store_true")
    options = parser.parse_args()
    if "THANOSQL_SPEECH" not in os.environ:
        parser.error("set THANOSQL_SPEECH to the folder with the recorded speech")
    root = Path(os.environ["THANOSQL_SPEECH"]) / "digits"
    with thanosql_dbapi.connect(root=root) as connection:
        connection.execute("COPY train FROM 'train.csv'; COPY test FROM 'test.csv'")
        print(f"WER without fine-tuning      {wer(connection, 'voice_tiny'):7.1%}")
        for epochs in (1, options.epochs):
            seconds = build(connection, options, epochs)
            print(f"after {epochs:3} epochs, {seconds:5.0f} s    {wer(connection, 'digits'):7.1%}")
        if options.unheard:
            speakers = connection.execute("SELECT DISTINCT speaker FROM test ORDER BY ALL")
            for (speaker,) in speakers.fetchall():
                build(connection, options, options.epochs, f"speaker <> '{speaker}'")
                score = wer(connection, "digits", f"speaker = '{speaker}'")
                print(f"{speaker:10} unheard            {score:7.1%}")


if __name__ == "__main__":
    main()
