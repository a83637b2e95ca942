"""Real speech: what a model built on `Wav2Vec2Tiny` makes of recorded digits.

    THANOSQL_SPEECH=<folder> python tests/benchmarks/digits.py [--epochs 1 5 15 40] [--unheard]

Prints the WER on digits/test.csv without fine-tuning and after so many epochs, of the greedy
decoder and of the beam, with the seconds that the BUILD took. `--unheard` leaves each speaker out
of the training in turn, for the first of the numbers of epochs, and scores that speaker's rows.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from pathlib import Path

import thanosql_dbapi
from thanosql_dbapi import Connection


def wer(connection: Connection, model: str, decoder: str, query: str) -> float:
    sql = f"EVALUATE USING \"{model}\" OPTIONS (decoder='{decoder}') AS {query}"
    return dict(connection.execute(sql).fetchall())["wer"]


def both(connection: Connection, query: str) -> str:
    greedy, beam = (wer(connection, "digits", each, query) for each in ("greedy", "beam"))
    return f"greedy {greedy:6.1%}   beam {beam:6.1%}"


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
    parser.add_argument("--epochs", type=int, nargs="+", default=[1, 5, 15, 40])
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--unheard", action="store_true")
    options = parser.parse_args()
    if "THANOSQL_SPEECH" not in os.environ:
        parser.error("set THANOSQL_SPEECH to the folder with the recorded speech")
    root = Path(os.environ["THANOSQL_SPEECH"]) / "digits"
    warnings.simplefilter("ignore")  # that models are new, and rows known
    with thanosql_dbapi.connect(root=root, progress=False) as connection:
        connection.execute("COPY train FROM 'train.csv'; COPY test FROM 'test.csv'")
        connection.execute("CREATE TABLE everything AS FROM train UNION ALL FROM test")
        base = wer(connection, "voice_tiny", "greedy", "SELECT * FROM test")
        print(f"without fine-tuning            greedy {base:6.1%}", flush=True)
        if not options.unheard:
            for epochs in options.epochs:
                seconds = build(connection, options, epochs)
                told = both(connection, "SELECT * FROM test")
                print(f"{epochs:4} epochs, {seconds:5.0f} s            {told}", flush=True)
            return
        speakers = connection.execute("SELECT DISTINCT speaker FROM test ORDER BY ALL").fetchall()
        for (speaker,) in speakers:
            build(connection, options, options.epochs[0], f"speaker <> '{speaker}'")
            told = both(connection, f"SELECT * FROM everything WHERE speaker = '{speaker}'")
            print(f"{speaker:10} left out          {told}", flush=True)


if __name__ == "__main__":
    main()
