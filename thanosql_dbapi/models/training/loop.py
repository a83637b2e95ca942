"""CTC fine-tuning of a Wav2Vec2 model on waveforms and label numbers: one straight loop.

Pure torch.  It knows no SQL, no text, no vocabulary and no files: labels arrive as numbers, and the
model is left trained in memory for the caller to save.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import ctc_loss
from transformers import Wav2Vec2ForCTC

from ..frames import frames_needed, frames_of, samples_for
from ..logits import logits_of, pad
from . import augmentation

Waveform: TypeAlias = NDArray[np.float32]

_WARM_UP: Final = 0.1
_WEIGHT_DECAY: Final = 0.01
_GRADIENT_NORM: Final = 1.0
# Each new input shape costs oneDNN about 180 ms, so padded lengths come from a coarse scale.
_SHORTEST_PADDED: Final = 0.5
_PADDING_STEP: Final = 1.12


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How to train.

    `batch_seconds`, where given, replaces `batch_size`: as many utterances as fill so many padded
    seconds.  `shorter_first` goes through the first epoch from short utterances to long ones, which
    a model with random weights needs.  `normalise` brings each utterance to zero mean and unit
    variance, as a feature extractor with `do_normalize` does at inference.
    """

    batch_size: int = 16
    max_epochs: int = 5
    learning_rate: float = 1e-4
    seed: int = 0
    freeze_feature_encoder: bool = False
    augment: bool = True
    normalise: bool = True
    batch_seconds: float | None = None
    shorter_first: bool = False


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """One optimiser step, counted from 1; `audio_seconds` were trained on so far."""

    step: int
    steps: int
    epoch: int
    epochs: int
    loss: float
    learning_rate: float
    audio_seconds: float


@dataclass(frozen=True, slots=True)
class TrainingSummary:
    """What a whole training did; `epoch_losses` are means over an epoch's utterances."""

    steps: int
    epochs: int
    seconds: float
    epoch_losses: tuple[float, ...]
    audio_seconds: float


Report: TypeAlias = Callable[[TrainingStep], None]


def train(
    model: Wav2Vec2ForCTC,
    waveforms: Sequence[Waveform],
    labels: Sequence[Sequence[int]],
    settings: TrainingSettings | None = None,
    *,
    report: Report | None = None,
    sampling_rate: int = 16000,
    device: torch.device | None = None,
) -> TrainingSummary:
    """Train the model in place, and leave it in evaluation mode on `device`.

    Waveforms are mono at `sampling_rate` hertz; labels are numbers of the model's vocabulary.  Both
    are read again in each epoch, so a sequence may make them when asked.  `report` is called after
    each optimiser step; what it raises ends the training.  On a CPU the same seed gives the same
    weights.

    Raises:
        ValueError: an utterance's labels do not fit its frames or the vocabulary; the message has
            its index, and nothing was trained.
        FloatingPointError: the loss or its gradient is no longer finite.
    """
    settings = settings or TrainingSettings()
    shortest = _check(model, waveforms, labels, settings)
    where = device or model.device
    rng = np.random.default_rng(settings.seed)
    lengths = np.array([len(waveform) for waveform in waveforms])
    plan = [
        _plan_epoch(lengths, shortest, settings, sampling_rate, rng, first=epoch == 0)
        for epoch in range(settings.max_epochs)
    ]
    with _seeded(settings.seed, where), _training(model.to(where), settings):  # type: ignore[arg-type]
        run = _Run(model, waveforms, labels, settings, sampling_rate, where, rng)
        return run.through(plan, report)


@dataclass(frozen=True, slots=True)
class _Take:
    """One utterance of a batch, to be played at a speed."""

    index: int
    speed: float
    samples: int


_Batch: TypeAlias = list[_Take]


@dataclass(frozen=True, slots=True)
class _Run:
    model: Wav2Vec2ForCTC
    waveforms: Sequence[Waveform]
    labels: Sequence[Sequence[int]]
    settings: TrainingSettings
    sampling_rate: int
    device: torch.device
    rng: np.random.Generator

    def through(self, plan: list[list[_Batch]], report: Report | None) -> TrainingSummary:
        """Go through the planned batches, epoch after epoch."""
        started, audio_seconds, step = time.monotonic(), 0.0, 0
        steps = sum(len(batches) for batches in plan)
        optimizer, schedule = _optimiser(self.model, self.settings.learning_rate, steps)
        epoch_losses = []
        for epoch, batches in enumerate(plan, start=1):
            total = 0.0
            for batch in batches:
                rate = float(schedule.get_last_lr()[0])
                loss = self._step(batch, optimizer)
                schedule.step()
                step += 1
                total += loss * len(batch)
                audio_seconds += sum(take.samples for take in batch) / self.sampling_rate
                if report:
                    report(TrainingStep(step, steps, epoch, len(plan), loss, rate, audio_seconds))
            epoch_losses.append(total / len(self.waveforms))
        seconds = time.monotonic() - started
        return TrainingSummary(steps, len(plan), seconds, tuple(epoch_losses), audio_seconds)

    def _step(self, batch: _Batch, optimizer: torch.optim.Optimizer) -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = self._loss(batch) / len(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        total = loss.item()
        parameters = [each for each in self.model.parameters() if each.grad is not None]
        norm = torch.nn.utils.clip_grad_norm_(parameters, _GRADIENT_NORM)
        if not (math.isfinite(total) and math.isfinite(norm.item())):
            raise FloatingPointError(
                f"the loss is {total} and its gradient {norm.item()}: lower the learning rate"
            )
        optimizer.step()
        return total

    def _loss(self, batch: _Batch) -> torch.Tensor:
        """Return the sum over utterances of the CTC loss for each label."""
        waveforms = [self._waveform(take) for take in batch]
        lengths = [len(waveform) for waveform in waveforms]
        rows = pad(waveforms, _padded(max(lengths), self.sampling_rate))
        logits = logits_of(self.model, rows, lengths)
        targets = [self.labels[take.index] for take in batch]
        target_lengths = torch.tensor([len(target) for target in targets])
        losses = ctc_loss(
            logits.float().log_softmax(-1).transpose(0, 1),
            torch.tensor([label for target in targets for label in target]).to(self.device),
            frames_of(self.model, torch.tensor(lengths)),
            target_lengths,
            blank=self.model.config.pad_token_id or 0,
            reduction="none",
        )
        return (losses / target_lengths.to(losses.device)).sum()

    def _waveform(self, take: _Take) -> Waveform:
        waveform = self.waveforms[take.index]
        if self.settings.augment:
            waveform = augmentation.augment(
                waveform, self.rng, speed=take.speed, sampling_rate=self.sampling_rate
            )
        if self.settings.normalise:
            waveform = (waveform - waveform.mean()) / np.sqrt(waveform.var() + 1e-7)
        return waveform


def _check(
    model: Wav2Vec2ForCTC,
    waveforms: Sequence[Waveform],
    labels: Sequence[Sequence[int]],
    settings: TrainingSettings,
) -> NDArray[np.int64]:
    """Refuse what cannot be trained on; return the fewest samples each utterance needs."""
    if len(waveforms) != len(labels):
        raise ValueError(f"{len(waveforms)} waveforms but {len(labels)} label sequences")
    if not len(waveforms):
        raise ValueError("there is nothing to train on: no waveforms")
    if settings.batch_size < 1 or settings.max_epochs < 1:
        raise ValueError("batch_size and max_epochs must be at least 1")
    needed = [frames_needed(label) for label in labels]
    symbols = model.config.vocab_size or 0
    frames = frames_of(model, torch.tensor([len(waveform) for waveform in waveforms])).tolist()
    for index, (has, needs) in enumerate(zip(frames, needed, strict=True)):
        if not needs:
            raise ValueError(f"utterance {index} has no labels")
        if needs > has:
            raise ValueError(
                f"utterance {index} is too short for its labels: it has {max(0, has)} frames, "
                f"its {len(labels[index])} labels need {needs}"
            )
        if not 0 <= min(labels[index]) <= max(labels[index]) < symbols:
            raise ValueError(
                f"utterance {index} has a label outside the model's 0 to {symbols - 1}"
            )
    return np.array([samples_for(model, frames) for frames in needed])


def _plan_epoch(
    lengths: NDArray[np.int64],
    shortest: NDArray[np.int64],
    settings: TrainingSettings,
    sampling_rate: int,
    rng: np.random.Generator,
    *,
    first: bool,
) -> list[_Batch]:
    """Draw speeds, then make batches of similar length, in random order."""
    samples = lengths
    if settings.augment:
        speeds = augmentation.draw_speeds(len(lengths), rng)
        # Altered lengths come from a scale, so that many are equal; and no speed may leave an
        # utterance with fewer frames than its labels need.
        altered = np.maximum(_on_scale(lengths / speeds), shortest)
        samples = np.where(speeds == 1.0, lengths, altered)
    speeds = lengths / samples
    # The jitter lets an utterance meet other neighbours in each epoch.
    order = np.argsort(samples * rng.uniform(0.9, 1.1, len(samples)))
    takes = [_Take(int(each), float(speeds[each]), int(samples[each])) for each in order]
    batches = list(_split(takes, settings, sampling_rate))
    if not (first and settings.shorter_first):
        rng.shuffle(batches)
    return batches


def _split(takes: list[_Take], settings: TrainingSettings, sampling_rate: int) -> Iterator[_Batch]:
    batch: _Batch = []
    longest = 0
    for take in takes:
        longest = max(longest, _padded(take.samples, sampling_rate))
        if batch and _is_full(len(batch) + 1, longest, settings, sampling_rate):
            yield batch
            batch, longest = [], _padded(take.samples, sampling_rate)
        batch.append(take)
    yield batch


def _is_full(count: int, longest: int, settings: TrainingSettings, sampling_rate: int) -> bool:
    if settings.batch_seconds is None:
        return count > settings.batch_size
    return count * longest > settings.batch_seconds * sampling_rate


def _on_scale(samples: NDArray[np.float64]) -> NDArray[np.int64]:
    """Round lengths to the nearest step of a scale four times as fine as the padded lengths'."""
    step = math.log(_PADDING_STEP) / 4
    return np.round(np.exp(np.round(np.log(samples) / step) * step)).astype(np.int64)


def _padded(samples: int, sampling_rate: int) -> int:
    shortest = _SHORTEST_PADDED * sampling_rate
    steps = max(0, math.ceil(math.log(samples / shortest, _PADDING_STEP) - 1e-9))
    return math.ceil(shortest * _PADDING_STEP**steps)


def _optimiser(
    model: Wav2Vec2ForCTC, learning_rate: float, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LambdaLR]:
    """Return AdamW with a linear warm-up and a cosine decay to a hundredth."""
    trained = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(
        trained, lr=learning_rate, betas=(0.9, 0.98), weight_decay=_WEIGHT_DECAY
    )
    warm_up = max(1, round(steps * _WARM_UP))

    def factor(step: int) -> float:
        if step < warm_up:
            return (step + 1) / warm_up
        done = (step - warm_up) / max(1, steps - warm_up)
        return 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * done))

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


@contextmanager
def _training(model: Wav2Vec2ForCTC, settings: TrainingSettings) -> Iterator[None]:
    """Put the model into training mode, and back into evaluation mode however it ends."""
    frozen = [each for each in model.wav2vec2.feature_extractor.parameters() if each.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(not settings.freeze_feature_encoder)
    model.train()
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(True)
        model.zero_grad(set_to_none=True)
        model.train(False)


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's draws (dropout, layer drop), and give the caller's state back afterwards."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
