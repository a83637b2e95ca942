"""A training in several processes, started from one: by torch's launcher, with accelerate in each.

`accelerate launch` is the same launcher underneath, and starts several processes on GPUs alone. The
processes run in an interpreter of their own, as this one may have used its GPU. They get a folder
with the data, and talk back over a socket on this machine, in JSON: nothing is pickled.
"""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Self

import torch
from safetensors.torch import load_file
from transformers import Wav2Vec2ForCTC

from ...exceptions import MissingExtra
from ...journal import Step
from .. import threads
from .loop import TrainingSummary, Validate
from .settings import TrainingSettings
from .utterances import Waveform, samples_needed

#: Seconds between two looks at whether the training was stopped, or a process died.
_LOOK_S: Final = 0.2
#: Seconds that the processes have to keep a checkpoint and end.
_GRACE_S: Final = 60.0
_PREFIX: Final = "thanosql-train-"


class WorkerDied(RuntimeError):
    """A process of the training ended before its time; the message has its last words."""


def train_in_processes(
    count: int,
    model: Wav2Vec2ForCTC,
    waveforms: Sequence[Waveform],
    labels: Sequence[Sequence[int]],
    settings: TrainingSettings,
    *,
    sampling_rate: int = 16000,
    device: torch.device | None = None,
    report: Callable[[Step], None] | None = None,
    validate: Validate | None = None,
    measured: Callable[[int, float], None] | None = None,
    checkpoints: Path | None = None,
    resume: bool = True,
    resumed: Callable[[int], None] | None = None,
    check: Callable[[], None] | None = None,
) -> TrainingSummary:
    """Train as `loop.train` does, in `count` processes, one for each GPU, or on the CPU.

    Gradients are the same but for the order in which they are summed. `check` is asked while the
    processes work; `validate` gets this process's model with the weights as they stand.

    Raises:
        MissingExtra: accelerate is not installed.
        FloatingPointError: the loss or its gradient is no longer finite.
        WorkerDied: a process ended; what it kept, the same call goes on from.
    """
    if importlib.util.find_spec("accelerate") is None:
        raise MissingExtra(
            "training on several devices needs accelerate; pip install 'thanosql-dbapi[speech]'"
        )
    samples_needed(model, waveforms, labels)  # raises here, where who reads it knows the rows
    where = device or model.device
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=_tidied(checkpoints)) as name:
        folder = Path(name)
        with socket.create_server(("127.0.0.1", 0)) as server:
            token = secrets.token_hex()
            job = {
                "port": server.getsockname()[1],
                "token": token,
                "cpu": where.type == "cpu",
                "settings": asdict(settings) | {"augmentation": sorted(settings.augmentation)},
                "sampling_rate": sampling_rate,
                "lengths": [len(waveform) for waveform in waveforms],
                "labels": [[int(each) for each in label] for label in labels],
                "measured": validate is not None,
                "checkpoints": None if checkpoints is None else str(checkpoints.absolute()),
                "resume": resume,
            }
            _write(folder, model, waveforms, job)
            with _Launched(folder, count, server, token) as launched:
                for what, content in launched.messages(check):
                    if what == "step" and report:
                        report(Step(**content))
                    elif what == "measure" and validate:
                        _load(model, folder / "measured.safetensors")
                        launched.answer(validate(model.to(where)))  # type: ignore[arg-type]
                    elif what == "measured" and measured:
                        measured(*content)
                    elif what == "resumed" and resumed:
                        resumed(content)
                    elif what == "diverged":
                        raise FloatingPointError(content)
                    elif what == "done":
                        summary = content
        _load(model, folder / "trained.safetensors")
    model.to(where)  # type: ignore[arg-type]
    for key in ("epoch_losses", "damaged"):
        summary[key] = tuple(summary[key])
    return TrainingSummary(**summary)


def _tidied(checkpoints: Path | None) -> Path | None:
    """Return where a job's folder goes; one that a killed process left there is removed."""
    if checkpoints is not None:
        checkpoints.mkdir(parents=True, exist_ok=True)
        for left in checkpoints.glob(f"{_PREFIX}*"):
            shutil.rmtree(left, ignore_errors=True)
    return checkpoints


def _write(
    folder: Path, model: Wav2Vec2ForCTC, waveforms: Sequence[Waveform], job: dict[str, Any]
) -> None:
    with (folder / "waveforms.f32").open("wb") as file:
        for waveform in waveforms:
            file.write(waveform.tobytes())
    model.save_pretrained(folder / "base")
    path = folder / "job.json"
    path.touch(0o600)
    path.write_text(json.dumps(job))


def _load(model: Wav2Vec2ForCTC, path: Path) -> None:
    model.load_state_dict(load_file(path))
    model.train(False)


class _Launched:
    """The processes of a training: a context that ends them."""

    def __init__(self, folder: Path, count: int, server: socket.socket, token: str) -> None:
        self._server = server
        self._token = token
        self._log = folder / "log.txt"
        self._line: socket.socket | None = None
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += ["--nproc-per-node", str(count), "-m"]
        command += [__name__.replace("launch", "worker"), str(folder)]
        cores = str(max(1, threads.available() // count))
        environment = os.environ | {"OMP_NUM_THREADS": cores, "TOKENIZERS_PARALLELISM": "false"}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 (our own module)
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )

    def messages(self, check: Callable[[], None] | None) -> Iterator[tuple[str, Any]]:
        """Yield what the first process tells, until it is done."""
        content = b""
        self._server.settimeout(_LOOK_S)
        while True:
            if check:
                check()
            received = self._receive()
            if received is None:
                continue
            if not received:
                raise WorkerDied(self._last_words())
            *lines, content = (content + received).split(b"\n")
            for line in lines:
                what, value = json.loads(line)
                if what == "token" and value != self._token:
                    raise WorkerDied("a stranger called")
                yield what, value
                if what == "done":
                    self._process.wait(_GRACE_S)
                    return

    def _receive(self) -> bytes | None:
        """Return what came, nothing where the line is closed, None where nothing came yet."""
        try:
            if self._line is None:
                self._line, _ = self._server.accept()
                self._line.settimeout(_LOOK_S)
            return self._line.recv(1 << 16)
        except ConnectionError:
            return b""
        except TimeoutError:
            return None if self._process.poll() is None else b""

    def answer(self, figure: float) -> None:
        """Answer the first process."""
        assert self._line is not None
        self._line.sendall(f"{figure!r}\n".encode())

    def _last_words(self) -> str:
        status = self._process.wait(_GRACE_S)
        lines = self._log.read_text(errors="replace").strip().splitlines()
        said = [line for line in lines if "Error" in line and "ChildFailedError" not in line]
        # The first is the cause: the others' peer is gone, which is an error of theirs.
        reason = f": {said[0].strip()}" if said else ""
        return f"a process of the training ended with status {status}{reason}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._line is not None:
            self._line.close()  # the sign to keep a checkpoint and end
        deadline = time.monotonic() + (_GRACE_S if self._line is not None else 0.0)
        while self._process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait()
