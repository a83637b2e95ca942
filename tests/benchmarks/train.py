"""Training: transformers' Trainer as its guide to speech recognition has it, and this package.

    python tests/benchmarks/train.py [--runs 2] [--only large small] [--all] [--gpu]

`large` is a random model of wav2vec2-base's size and 16 utterances of 1 to 15 s for one epoch,
`small` the bundled voice and 160 utterances for two, both made of the bundled recordings. The guide
sets batches of 8, two to a step, dynamic padding, gradient checkpointing and (in its arguments)
grouping by length; `--all` has each of these two with and without the other. Both sides start from
the same weights, in float32, with no augmentation. Decoding lies outside the times; what it takes
is told. Runs alternate, and the best of each counts; CPU is the processor's time. Where other
programs run beside it, threads that wait for each other lose more than their share, and spin: see
OMP_NUM_THREADS=1 too.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from predict import Corpus, make_base_checkpoint, make_corpus
from transformers import (
    Trainer,
    TrainingArguments,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    Wav2Vec2Processor,
)

from thanosql_dbapi.assets import VOICE_TINY
from thanosql_dbapi.models.training.loop import train
from thanosql_dbapi.models.training.settings import TrainingSettings

RATE = 16000


@dataclass(frozen=True)
class Material:
    """A checkpoint and what to train it on: waveforms as decoded, labels as numbers."""

    checkpoint: Path
    waveforms: Sequence[Any]
    labels: Sequence[list[int]]
    epochs: int
    freeze: bool

    def model(self, **changes: Any) -> Any:
        """Return the model to start from, the same each time; without the mask of features."""
        return Wav2Vec2ForCTC.from_pretrained(
            self.checkpoint,
            dtype=torch.float32,
            apply_spec_augment=False,
            ctc_loss_reduction="mean",
            **changes,
        )


class Padded:
    """The guide's collator: pads sound and labels of a batch to the longest of each."""

    def __init__(self, processor: Wav2Vec2Processor) -> None:
        self._processor = processor

    def __call__(self, features: list[dict[str, Any]]) -> Any:
        sounds = [{"input_values": feature["input_values"]} for feature in features]
        batch = self._processor.feature_extractor.pad(sounds, padding=True, return_tensors="pt")
        texts = [{"input_ids": feature["labels"]} for feature in features]
        labels = self._processor.tokenizer.pad(texts, padding=True, return_tensors="pt")
        batch["labels"] = labels["input_ids"].masked_fill(labels["attention_mask"] == 0, -100)
        return batch


def theirs(
    material: Material, folder: Path, *, recompute: bool, group: bool, gpu: bool
) -> Callable[[], tuple[float, float]]:
    """Return what trains by transformers' Trainer, and says seconds and the last loss."""
    processor = Wav2Vec2Processor(
        Wav2Vec2FeatureExtractor.from_pretrained(material.checkpoint),
        Wav2Vec2CTCTokenizer.from_pretrained(material.checkpoint),
    )
    extract = processor.feature_extractor
    rows = [
        {
            "input_values": extract(waveform, sampling_rate=RATE).input_values[0],
            "labels": label,
            "length": len(waveform),
        }
        for waveform, label in zip(material.waveforms, material.labels, strict=True)
    ]

    def run() -> tuple[float, float]:
        model = material.model()
        if material.freeze:
            model.freeze_feature_encoder()
        arguments = TrainingArguments(
            output_dir=str(folder / "theirs"),
            per_device_train_batch_size=8,
            gradient_accumulation_steps=2,
            learning_rate=1e-5,
            num_train_epochs=material.epochs,
            gradient_checkpointing=recompute,
            train_sampling_strategy="group_by_length" if group else "random",
            length_column_name="length",
            remove_unused_columns=False,
            save_strategy="no",
            eval_strategy="no",
            logging_steps=1,
            report_to="none",
            disable_tqdm=True,
            use_cpu=not gpu,
            seed=0,
        )
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=rows,
            processing_class=processor,
            data_collator=Padded(processor),
        )
        trainer.log = lambda *_, **__: None  # it would print
        started = time.perf_counter()
        result = trainer.train()
        return time.perf_counter() - started, result.training_loss

    return run


def ours(material: Material, *, gpu: bool) -> Callable[[], tuple[float, float]]:
    """Return what trains by this package, and says seconds and the mean loss."""
    settings = TrainingSettings(
        batch_size=16,
        max_epochs=material.epochs,
        learning_rate=1e-5,
        freeze_feature_encoder=material.freeze,
        augmentation=frozenset(),
    )

    def run() -> tuple[float, float]:
        model = material.model()
        started = time.perf_counter()
        device = torch.device("cuda" if gpu else "cpu")
        summary = train(model, material.waveforms, material.labels, settings, device=device)
        return time.perf_counter() - started, float(np.mean(summary.epoch_losses))

    return run


def compare(title: str, material: Material, folder: Path, arguments: argparse.Namespace) -> None:
    variants = {
        "Trainer, the guide's": (True, True),
        "Trainer, neither": (False, False),
        "Trainer, only recomputing": (True, False),
        "Trainer, only grouping": (False, True),
    }
    if not arguments.all:
        variants.pop("Trainer, neither")
        variants.pop("Trainer, only recomputing")
    contenders = {
        name: theirs(material, folder, recompute=recompute, group=group, gpu=arguments.gpu)
        for name, (recompute, group) in variants.items()
    }
    contenders["this package"] = ours(material, gpu=arguments.gpu)
    times: dict[str, list[float]] = {name: [] for name in contenders}
    work: dict[str, list[float]] = {name: [] for name in contenders}
    losses: dict[str, float] = {}
    for _ in range(arguments.runs):
        for name, run in contenders.items():
            began = time.process_time()
            took, losses[name] = run()
            times[name].append(took)
            work[name].append(time.process_time() - began)
    seconds = sum(map(len, material.waveforms)) / RATE
    count = len(material.waveforms) * material.epochs
    frozen = "frozen" if material.freeze else "trained"
    print(
        f"\n{title}, feature encoder {frozen}: {len(material.waveforms)} utterances of"
        f" {seconds:.0f} s, epochs {material.epochs}, {torch.get_num_threads()} threads"
    )
    reference = min(times["this package"])
    for name, took in times.items():
        best = min(took)
        print(
            f"  {name:28} best {best:7.2f} s  first {took[0]:7.2f} s {count / best:7.2f} samples/s"
            f"  ours is {best / reference:5.2f} x as fast  CPU {min(work[name]):7.2f} s"
            f"  loss {losses[name]:.3f}",
            flush=True,
        )


def material_of(
    checkpoint: Path, corpus: Corpus, epochs: int, *, freeze: bool
) -> tuple[Material, float]:
    """Decode a corpus; return what to train on, and the seconds that decoding took."""
    started = time.perf_counter()
    waveforms = [soundfile.read(path, dtype="float32")[0] for path in corpus.paths]
    took = time.perf_counter() - started
    tokenizer = Wav2Vec2CTCTokenizer.from_pretrained(checkpoint)
    labels = [tokenizer(text).input_ids for text in corpus.texts]
    return Material(checkpoint, waveforms, labels, epochs, freeze), took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--utterances", type=int, help="how many, in place of the usual")
    parser.add_argument("--only", nargs="*", choices=["large", "small"], default=["small", "large"])
    parser.add_argument("--freeze", action="store_true", help="freeze the feature encoder in both")
    parser.add_argument("--all", action="store_true", help="the Trainer in all four variants")
    parser.add_argument("--gpu", action="store_true")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from transformers.utils import logging

    logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for title in arguments.only:
            large = title == "large"
            checkpoint = make_base_checkpoint(folder / "base") if large else VOICE_TINY
            corpus = make_corpus(
                folder / title, arguments.utterances or (16 if large else 160), 1, 15
            )
            material, decoding = material_of(
                checkpoint, corpus, 1 if large else 2, freeze=arguments.freeze
            )
            compare(title, material, folder, arguments)
            print(f"  decoding, outside of it: {decoding:.2f} s an epoch")


if __name__ == "__main__":
    main()
