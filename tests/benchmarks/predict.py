"""Transcribing: transformers' own pipeline, this package, and the floor, on the same files.

    python tests/benchmarks/predict.py [--gpu] [--runs 3] [--only large small digits memory]

`large` is a random model of wav2vec2-base's size and 24 files of 1 to 15 s, `small` the bundled
voice and 200 files of 1 to 6 s, both made of the bundled recordings. The floor is the forward pass
alone, over what is decoded already, by the best of all packings tried. Runs alternate, and the
best of each counts; the first of ours, which still tries packings, is told too. `digits` needs
THANOSQL_SPEECH, the folder with the recorded digits, and compares WERs. `memory` is the peak of a
process that transcribes 1,000 files, and of one with 20,000.
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

import thanosql_dbapi
from thanosql_dbapi.assets import RECORDINGS, VOICE_TINY
from thanosql_dbapi.media.audio import decode_audio
from thanosql_dbapi.media.sources import media_of
from thanosql_dbapi.models.metrics import error_rates
from thanosql_dbapi.models.wav2vec2 import TINY
from thanosql_dbapi.registry import Version

RATE = 16000


@dataclass(frozen=True)
class Corpus:
    """Audio files, and what is said in them."""

    paths: Sequence[Path]
    texts: Sequence[str]
    seconds: float


class Watching:
    """Adds up what each step took."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    def check(self) -> None: ...

    def advance(self, items: int, seconds: float) -> None: ...

    def spend(self, step: str, seconds: float) -> None:
        self.spent[step] = self.spent.get(step, 0.0) + seconds


def recordings() -> list[tuple[Path, str]]:
    rows = []
    for name in ("calls_train.csv", "calls_test.csv"):
        with (RECORDINGS / name).open() as file:
            rows += [(RECORDINGS / row["audio_path"], row["text"]) for row in csv.DictReader(file)]
    return rows


def make_corpus(folder: Path, files: int, shortest_s: float, longest_s: float) -> Corpus:
    """Join recordings to files of about so many seconds, evenly spread."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    known = [(decode_audio(media_of(str(path), Path()), RATE), text) for path, text in recordings()]
    paths, texts, samples = [], [], 0
    for index, seconds in enumerate(rng.permutation(np.linspace(shortest_s, longest_s, files))):
        parts: list[Any] = []
        said = []
        while sum(map(len, parts)) < (seconds - 0.7) * RATE:
            waveform, text = known[rng.integers(len(known))]
            parts.append(waveform)
            said.append(text)
        joined = np.concatenate(parts)[: int(longest_s * RATE)]
        samples += len(joined)
        paths.append(folder / f"{index:05}.flac")
        soundfile.write(paths[-1], joined, RATE)
        texts.append(" ".join(said))
    return Corpus(paths, texts, samples / RATE)


def make_base_checkpoint(folder: Path) -> Path:
    """Save a random model of the size and kind of facebook/wav2vec2-base-960h."""
    import torch
    from transformers import (
        Wav2Vec2Config,
        Wav2Vec2CTCTokenizer,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2ForCTC,
    )

    torch.manual_seed(0)
    model = Wav2Vec2ForCTC(Wav2Vec2Config(vocab_size=32))
    with torch.no_grad():
        model.lm_head.weight.mul_(20)
    parts = (
        model,
        Wav2Vec2CTCTokenizer.from_pretrained(VOICE_TINY),
        Wav2Vec2FeatureExtractor(return_attention_mask=False),
    )
    for part in parts:
        part.save_pretrained(folder)
    return folder


def theirs(checkpoint: Path, device: str) -> Callable[[Corpus], list[str]]:
    """Return transformers' pipeline as its documentation has it; files are decoded as they come."""
    from transformers import pipeline

    recognise = pipeline(
        "automatic-speech-recognition", model=str(checkpoint), device=device, dtype="float32"
    )

    def decoded(paths: Sequence[Path]) -> Iterator[dict[str, Any]]:
        for path in paths:
            waveform, rate = soundfile.read(path, dtype="float32")
            yield {"raw": waveform, "sampling_rate": rate}

    def run(corpus: Corpus) -> list[str]:
        return [each["text"] for each in recognise(decoded(corpus.paths), batch_size=8)]

    return run


class Ours:
    """This package's model, called as a statement calls it, but for the cache."""

    def __init__(self, checkpoint: Path, device: str) -> None:
        self.model: Any = TINY.load(Version("m", 1, checkpoint, {}), device)
        self.spent: dict[str, float] = {}

    def run(self, corpus: Corpus, precision: str) -> list[str]:
        media = [media_of(str(path), Path()) for path in corpus.paths]
        watch = Watching()
        options = {"batch_size": 64, "precision": precision}
        outcomes = dict(self.model.predict(media, options, watch))
        self.spent = watch.spent
        return [outcomes[index].text for index in range(len(media))]

    def floor(self, corpus: Corpus, precision: str) -> float:
        """Return the least seconds that any packing takes for the forward passes alone."""
        import torch

        recogniser = self.model.recogniser
        windows = []
        for path in corpus.paths:
            windows += recogniser.cut([decode_audio(media_of(str(path), Path()), RATE)])
        windows.sort(key=lambda window: -window.samples)
        cores = torch.get_num_threads()
        packing = self.model.pipeline.packing(precision)
        times = []
        for arm in packing.arms:
            batches = []
            rest = windows
            while rest:
                rows = arm.rows(rest[0].samples / RATE, 64, float("inf"))
                batches.append((rest[:rows], arm.width(rest[0].samples, RATE)))
                rest = rest[rows:]

            def forward(batch: Any) -> None:
                recogniser.forward(*batch, precision, {})

            def limit(threads: int = max(1, cores // arm.lanes)) -> None:
                torch.set_num_threads(threads)

            with ThreadPoolExecutor(arm.lanes, initializer=limit) as lanes:
                for _ in range(2):  # shapes are new to the libraries the first time
                    started = time.perf_counter()
                    list(lanes.map(forward, batches))
                    times.append(time.perf_counter() - started)
                    if times[-1] > 5:
                        break
        torch.set_num_threads(cores)
        return min(times)


def compare(title: str, checkpoint: Path, corpus: Corpus, arguments: argparse.Namespace) -> None:
    device = "cuda" if arguments.gpu else "cpu"
    precisions = ("full", "half") if arguments.gpu else ("full", "int8")
    recognise = theirs(checkpoint, device)
    ours = Ours(checkpoint, device)
    contenders: dict[str, Callable[[], list[str]]] = {
        "transformers, batch_size=8": lambda: recognise(corpus),
        **{name: (lambda name=name: ours.run(corpus, name)) for name in precisions},
    }
    times: dict[str, list[float]] = {name: [] for name in contenders}
    texts: dict[str, list[str]] = {}
    steps: dict[str, dict[str, float]] = {}
    for _ in range(arguments.runs):
        for name, run in contenders.items():
            started = time.perf_counter()
            texts[name] = run()
            times[name].append(time.perf_counter() - started)
            steps[name] = dict(ours.spent) if name in precisions else {}
    print(f"\n{title}: {len(corpus.paths)} files, {corpus.seconds:.0f} s of audio")
    reference = min(times["transformers, batch_size=8"])
    for name, took in times.items():
        best = min(took)
        print(
            f"  {name:28} best {best:7.2f} s  first {took[0]:7.2f} s"
            f"  {reference / best:5.2f} x  {corpus.seconds / best:7.0f} x real time"
            f"  {len(corpus.paths) / best * 3600:9,.0f} files/h  {score(corpus, texts[name])}"
        )
        if steps[name]:
            shares = ", ".join(f"{step} {spent:.2f}" for step, spent in steps[name].items())
            print(f"  {'':28} seconds of work, in all threads: {shares}")
    for name in precisions:
        floor = ours.floor(corpus, name)
        print(f"  floor, {name:21} best {floor:7.2f} s; ours {min(times[name]) / floor:.2f} x it")


def score(corpus: Corpus, texts: Sequence[str]) -> str:
    rates = error_rates([text.lower() for text in corpus.texts], [text.lower() for text in texts])
    return f"WER {rates['wer']:.1%}"


def compare_digits(arguments: argparse.Namespace) -> None:
    if "THANOSQL_SPEECH" not in os.environ:
        print("\ndigits: left out, THANOSQL_SPEECH is not set")
        return
    root = Path(os.environ["THANOSQL_SPEECH"]) / "digits"
    print("\ndigits: a model trained on them for 8 epochs")
    precisions = ("full", "half") if arguments.gpu else ("full", "int8")
    with thanosql_dbapi.connect(root=root, progress=False) as connection:
        connection.execute("COPY train FROM 'train.csv'; COPY test FROM 'test.csv'")
        connection.execute("BUILD MODEL d USING Wav2Vec2Tiny OPTIONS (epochs=8) AS FROM train")
        for precision in precisions:
            sql = f"EVALUATE USING d OPTIONS (precision='{precision}') AS FROM test"
            rates = dict(connection.execute(sql).fetchall())
            print(f"  {precision:28} WER {rates['wer']:.2%}  CER {rates['cer']:.2%}")


def measure_memory(folder: Path) -> None:
    peaks = {}
    for files in (1_000, 20_000):
        command = [sys.executable, __file__, "--child", str(files), "--folder", str(folder)]
        started = time.perf_counter()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        peaks[files] = int(done.stdout.split()[-1])
        took = time.perf_counter() - started
        print(f"\nmemory: {files:6,} files {peaks[files]:6} MiB at the peak, {took:.0f} s")
    print(f"  ratio {peaks[20_000] / peaks[1_000]:.2f}")


def transcribe_many(files: int, folder: Path) -> None:
    """Transcribe so many short files through SQL, without the cache; print the peak in MiB."""
    sources = [path for path, _ in recordings()]
    links = folder / f"links{files}"
    links.mkdir()
    for index in range(files):
        os.link(folder / "short" / sources[index % len(sources)].name, links / f"{index}.wav")
    with thanosql_dbapi.connect(root=links, progress=False) as connection:
        cursor = connection.execute(
            "PREDICT USING voice_tiny OPTIONS (cache=False) AS"
            f" SELECT i || '.wav' AS audio_path FROM range({files}) r(i)"
        )
        rows = 0
        while batch := cursor.fetchmany(500):
            rows += len(batch)
    assert rows == files
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--runs", type=int, default=3)
    parts = ["large", "small", "digits", "memory"]
    parser.add_argument("--only", nargs="*", choices=parts, default=parts)
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.child:
        transcribe_many(arguments.child, arguments.folder)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "large" in arguments.only:
            base = make_base_checkpoint(folder / "base")
            compare("large", base, make_corpus(folder / "mixed", 24, 1, 15), arguments)
        if "small" in arguments.only:
            compare("small", VOICE_TINY, make_corpus(folder / "calls", 200, 1, 6), arguments)
        if "digits" in arguments.only:
            compare_digits(arguments)
        if "memory" in arguments.only:
            (folder / "short").mkdir()
            for path, _ in recordings():
                waveform = decode_audio(media_of(str(path), Path()), RATE)
                soundfile.write(folder / "short" / path.name, waveform, RATE, format="WAV")
            measure_memory(folder)


if __name__ == "__main__":
    main()
