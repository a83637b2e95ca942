"""Trains in child processes that are killed, and goes on: run by test_resume.

    python resuming.py FOLDER PLAN

PLAN is a JSON list of trainings, each a list of deaths; a death is null (it may live), ["step", n]
(when step n is reported), ["write", n] (at the nth write to the disk) or ["time", s] (after so many
seconds, from outside). It prints what the last of
each training ended with. The children are forked before torch has any threads: loading it takes
most of the time.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

from thanosql_dbapi.models import threads
from thanosql_dbapi.models.training import checkpoints, loop
from thanosql_dbapi.models.training.settings import TrainingSettings

RATE = 16000


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def new_model() -> Wav2Vec2ForCTC:
    """Return a model that draws all that a Wav2Vec2 draws."""
    torch.manual_seed(0)
    return Wav2Vec2ForCTC(
        Wav2Vec2Config(
            vocab_size=6,
            pad_token_id=0,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            conv_dim=(32, 32),
            conv_kernel=(400, 4),
            conv_stride=(160, 2),
            num_conv_pos_embeddings=16,
            num_conv_pos_embedding_groups=4,
            layerdrop=0.3,
        )
    )


def utterances() -> tuple[list[Any], list[list[int]]]:
    rng = np.random.default_rng(0)
    lengths = rng.integers(RATE // 2, RATE, 22)
    waveforms = [rng.standard_normal(length).astype(np.float32) for length in lengths]
    return waveforms, [rng.integers(1, 6, rng.integers(1, 5)).tolist() for _ in lengths]


def digest(model: Wav2Vec2ForCTC) -> str:
    content = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        content.update(name.encode() + tensor.numpy().tobytes())
    return content.hexdigest()


def train(folder: Path, death: tuple[str, int] | None, changes: dict[str, Any]) -> dict[str, Any]:
    lanes = changes.pop("lanes", 2)
    every = changes.pop("every", 0.0)
    threads.available = lambda: lanes  # type: ignore[assignment]
    torch.set_num_threads(1)
    loop._CHECKPOINT_S = every  # type: ignore[misc]
    loop._CHECKPOINT_SHARE = 1e9  # type: ignore[misc]
    writes = 0

    def counted(path: Path) -> None:
        nonlocal writes
        writes += 1
        if death == ("write", writes):
            die()

    # A kill loses nothing that was written: only the power could, so nothing waits for a disk.
    checkpoints._flush = counted

    def report(step: Any) -> None:
        if death == ("step", step.step):
            die()

    def wer(model: Wav2Vec2ForCTC) -> float:
        # Some figure that rises and falls as training goes on, with ties.
        assert not model.training
        return round(float(model.lm_head.bias.sum()) * 300) % 5 / 5

    options: dict[str, Any] = {"batch_size": 4, "max_epochs": 8, "learning_rate": 3e-3} | changes
    model = new_model()
    resumed: list[int] = []
    summary = loop.train(
        model,
        *utterances(),
        TrainingSettings(**options),
        report=report,
        validate=wer,
        checkpoints=folder,
        resumed=resumed.append,
    )
    return {
        "digest": digest(model),
        "steps": summary.steps,
        "losses": summary.epoch_losses,
        "best": [summary.best_step, summary.best_wer],
        "stopped": summary.stopped_early,
        "resumed": resumed,
        "damaged": summary.damaged,
    }


def fork(folder: Path, death: Any, changes: dict[str, Any], result: Path) -> int:
    """Train in a child; return its status."""
    child = os.fork()
    if child == 0:
        try:
            ended = train(folder, tuple(death) if death else None, changes)
            result.write_text(json.dumps(ended))
        except BaseException as error:  # noqa: BLE001
            print(repr(error), file=sys.stderr)
            os._exit(1)
        os._exit(0)
    if death and death[0] == "time":
        time.sleep(death[1])
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def main() -> None:
    folder = Path(sys.argv[1])
    for number, (deaths, changes) in enumerate(json.loads(sys.argv[2])):
        result = folder / f"{number}.json"
        statuses = [
            fork(folder / str(number), death, dict(changes), result) for death in (*deaths, None)
        ]
        killed = [os.WIFSIGNALED(status) for status in statuses[:-1]]
        assert all(killed), f"a child lived or failed: {statuses}"
        print(json.dumps(json.loads(result.read_text()) | {"killed": len(killed)}))


if __name__ == "__main__":
    main()
