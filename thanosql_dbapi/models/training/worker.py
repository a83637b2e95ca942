"""One of the processes that `launch` starts: it trains as its folder says.

    torchrun … -m thanosql_dbapi.models.training.worker FOLDER

The first one tells its progress over a socket, in lines of JSON, and asks for measurements there.
"""

from __future__ import annotations

import json
import queue
import socket
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from safetensors.torch import save_file
from transformers import Wav2Vec2ForCTC

from .. import stack
from .loop import TrainingSummary, train
from .processes import Processes
from .settings import TrainingSettings

#: How long the others wait for the first one to measure.
_PATIENCE: Final = timedelta(hours=6)


class Line:
    """The first process's line to who started it all."""

    def __init__(self, port: int, token: str, folder: Path) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._socket.settimeout(None)
        self._folder = folder
        self._answers: queue.Queue[float] = queue.Queue()
        self._stopped = threading.Event()
        self.tell("token", token)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with self._socket.makefile(encoding="utf-8") as lines:
            for line in lines:
                self._answers.put(float(line))
        # It was closed: who started this wants no more, or is gone.
        self._stopped.set()
        self._answers.put(float("nan"))

    def tell(self, what: str, content: Any) -> None:
        """Send one message."""
        self._socket.sendall(json.dumps([what, content]).encode() + b"\n")

    def check(self) -> None:
        """Raise when the training is to stop."""
        if self._stopped.is_set():
            raise KeyboardInterrupt

    def wer(self, model: Wav2Vec2ForCTC) -> float:
        """Have the weights as they stand measured."""
        save_weights(model, self._folder / "measured.safetensors")
        self.tell("measure", None)
        wer = self._answers.get()
        self.check()
        return wer


class Stored(Sequence[Any]):
    """Waveforms one after the other in a file of float32."""

    def __init__(self, path: Path, lengths: Sequence[int]) -> None:
        self._samples = np.memmap(path, dtype=np.float32, mode="r")
        self._lengths = lengths
        self._starts = np.concatenate([[0], np.cumsum(lengths)])

    def __len__(self) -> int:
        return len(self._lengths)

    def __getitem__(self, index: Any) -> Any:
        return np.array(self._samples[self._starts[index] : self._starts[index + 1]])


def save_weights(model: torch.nn.Module, path: Path) -> None:
    """Write a model's weights in safetensors."""
    save_file({name: each.cpu().contiguous() for name, each in model.state_dict().items()}, path)


def _nobody(_what: str, _content: Any) -> None:
    """Tell nobody: the first process does."""


def main() -> None:
    """Train, and leave the weights in the folder."""
    stack.require_stack()
    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_text())
    patience = InitProcessGroupKwargs(timeout=_PATIENCE)
    accelerator = Accelerator(cpu=job["cpu"], kwargs_handlers=[patience])
    processes = Processes(accelerator)
    line = Line(job["port"], job["token"], folder) if processes.is_first else None
    model = Wav2Vec2ForCTC.from_pretrained(folder / "base", dtype=torch.float32)
    try:
        summary = _train(model, folder, job, processes, line)
    except FloatingPointError as error:
        (line.tell if line else _nobody)("diverged", str(error))
        raise
    if line:
        save_weights(model, folder / "trained.safetensors")
        line.tell("done", asdict(summary))
    processes.wait()
    accelerator.end_training()


def _train(
    model: Wav2Vec2ForCTC,
    folder: Path,
    job: dict[str, Any],
    processes: Processes,
    line: Line | None,
) -> TrainingSummary:
    chosen = job["settings"] | {"augmentation": frozenset(job["settings"]["augmentation"])}
    tell = line.tell if line else _nobody
    return train(
        model,
        Stored(folder / "waveforms.f32", job["lengths"]),
        job["labels"],
        TrainingSettings(**chosen),
        sampling_rate=job["sampling_rate"],
        device=processes.device,
        report=lambda step: tell("step", asdict(step)),
        validate=(line.wer if line else lambda _: 0.0) if job["measured"] else None,
        measured=lambda step, wer: tell("measured", [step, wer]),
        checkpoints=Path(job["checkpoints"]) if job["checkpoints"] else None,
        resume=job["resume"],
        resumed=lambda step: tell("resumed", step),
        check=line.check if line else None,
        processes=processes,
    )


if __name__ == "__main__":
    main()
