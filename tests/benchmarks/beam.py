"""Words, not letters: WER with and without the beam search, and what the search costs.

    THANOSQL_SPEECH=<folder> python tests/benchmarks/beam.py [--epochs 10] [--unheard theo]
                                                             [--workspace <folder>] [--base]

Builds a model on digits/train.csv and scores it on digits/test.csv; then one that a speaker is left
out of, scored on all that this speaker says. The cost is processor time on one thread, file by
file, the best of several runs: what the beam adds to the greedy decoder (its candidates, search and
alignment) as a share of the forward pass. `--base` times the forward pass of a random model of
wav2vec2-base's size too. A workspace that is kept spares the training the next time.
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from predict import make_base_checkpoint

import thanosql_dbapi
from thanosql_dbapi import Connection
from thanosql_dbapi.media.audio import decode_audio
from thanosql_dbapi.media.sources import media_of
from thanosql_dbapi.models.speech import likeliest
from thanosql_dbapi.models.wav2vec2 import TINY
from thanosql_dbapi.registry import Version

RATE = 16000
RUNS = 5
DECODERS = ("greedy", "beam", "auto")


def build(connection: Connection, name: str, where: str, epochs: int) -> Path:
    """Train a model where the workspace has none yet; return its version's folder."""
    registry = connection._session.workspace.registry
    if name not in {row[0] for row in connection.execute("LIST MODEL").fetchall()}:
        started = time.monotonic()
        connection.execute(
            f"BUILD MODEL {name} USING Wav2Vec2Tiny OPTIONS (max_epochs=?) AS"
            f" SELECT * FROM train WHERE {where}",
            [epochs],
        )
        print(f"{name}: {epochs} epochs in {time.monotonic() - started:.0f} s")
    return registry.resolve(name).folder


def score(connection: Connection, name: str, query: str) -> None:
    print(
        (connection._session.workspace.registry.resolve(name).folder / "decoder.json").read_text()
    )
    for decoder in DECODERS:
        sql = f"EVALUATE USING {name} OPTIONS (decoder='{decoder}', cache=False) AS {query}"
        rates = dict(connection.execute(sql).fetchall())
        print(f"  {decoder:8} WER {rates['wer']:7.2%}  CER {rates['cer']:7.2%}")


def seconds_of(work: Callable[[], Any]) -> float:
    """Return the processor seconds of the fastest of several runs, in this thread."""
    times = []
    for _ in range(RUNS):
        started = time.thread_time()
        work()
        times.append(time.thread_time() - started)
    return min(times)


def cost(folder: Path, files: Sequence[Path], base: Path | None) -> None:
    model: Any = TINY.load(Version("m", 1, folder, {}), "cpu")
    recogniser = model.recogniser
    waveforms = [decode_audio(media_of(str(path), Path()), RATE) for path in files]
    windows = [list(recogniser.cut([waveform])) for waveform in waveforms]
    passes = [(each, each[0].samples) for each in windows]
    forward_s = seconds_of(
        lambda: [recogniser.forward(*each, "full", {"decoder": "greedy"}) for each in passes]
    )
    logits = [
        recogniser.logits([window.features for window in each], width, "full")
        for each, width in passes
    ]
    kept_s = seconds_of(lambda: [likeliest(each) for each in logits])
    text_s = {}
    for decoder in ("greedy", "beam"):
        options = {"decoder": decoder}
        files_pieces = [
            list(zip(each, recogniser.forward(each, width, "full", options), strict=True))
            for each, width in passes
        ]

        def join(options: dict[str, str] = options, pieces: list[Any] = files_pieces) -> None:
            for each, waveform in zip(pieces, waveforms, strict=True):
                recogniser.join(each, len(waveform) / RATE, options)

        text_s[decoder] = seconds_of(join)
    extra_s = kept_s + text_s["beam"] - text_s["greedy"]
    parts = {"forward": forward_s, "candidates": kept_s}
    parts |= {f"text, {decoder}": spent for decoder, spent in text_s.items()}
    listed = ", ".join(f"{part} {s / len(files) * 1e3:.2f} ms" for part, s in parts.items())
    print(f"  a file: {listed}")
    print(f"  the beam adds {extra_s / forward_s:.1%} of the forward pass")
    if base is not None:
        large: Any = TINY.load(Version("b", 1, base, {}), "cpu")
        some = [row for each in windows[:8] for row in large.recogniser.cut([each[0].features])]

        def forward_large() -> None:
            for window in some:
                large.recogniser.forward([window], window.samples, "full", {})

        each_s = seconds_of(forward_large) / len(some)
        print(f"  wav2vec2-base: {each_s * 1e3:.0f} ms, of it {extra_s / len(files) / each_s:.2%}")


def rows(root: Path, speaker: str | None = None) -> list[Path]:
    """Return the files of the test table, or all of a speaker's."""
    paths = []
    for name in ("test.csv",) if speaker is None else ("train.csv", "test.csv"):
        with (root / name).open() as file:
            paths += [
                root / row["audio_path"]
                for row in csv.DictReader(file)
                if speaker in (None, row["speaker"])
            ]
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--unheard", default="theo")
    parser.add_argument("--workspace", type=Path)
    parser.add_argument("--base", action="store_true")
    options = parser.parse_args()
    if "THANOSQL_SPEECH" not in os.environ:
        parser.error("set THANOSQL_SPEECH to the folder with the recorded speech")
    root = Path(os.environ["THANOSQL_SPEECH"]) / "digits"
    with tempfile.TemporaryDirectory() as temporary:
        base = make_base_checkpoint(Path(temporary)) if options.base else None
        workspace = options.workspace or Path(temporary) / "workspace"
        with thanosql_dbapi.connect(root=root, workspace=workspace, progress=False) as connection:
            connection.execute("COPY train FROM 'train.csv'; COPY test FROM 'test.csv'")
            heard = build(connection, "heard", "true", options.epochs)
            score(connection, "heard", "SELECT * FROM test")
            speaker = options.unheard
            unheard = build(connection, "unheard", f"speaker <> '{speaker}'", options.epochs)
            everything = "SELECT * FROM (FROM train UNION ALL FROM test)"
            score(connection, "unheard", f"{everything} WHERE speaker = '{speaker}'")
        torch.set_num_threads(1)
        for title, folder, files in (
            ("heard", heard, rows(root)),
            (f"{speaker} unheard", unheard, rows(root, speaker)),
        ):
            print(f"{title}: {len(files)} files")
            cost(folder, files, base)


if __name__ == "__main__":
    main()
