"""The utterances of a training: what can be learnt from, and each one as an epoch hears it.

It knows waveforms and labels as numbers; no text, no files and no steps.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from .plan import Batch, Take, padded
from .settings import TrainingSettings

Waveform: TypeAlias = NDArray[np.float32]

#: Tells augmentation's draws from the plan's and torch's, which have the same seed.
_AUGMENTATION: Final = 2


@dataclass(frozen=True, slots=True)
class Utterances:
    """What is trained on; waveforms are mono at `sampling_rate` hertz."""

    waveforms: Sequence[Waveform]
    labels: Sequence[Sequence[int]]
    settings: TrainingSettings
    sampling_rate: int

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The waveforms' samples."""
        return np.array([len(waveform) for waveform in self.waveforms])

    def hear(self, take: Take, epoch: int) -> Waveform:
        """Return an utterance as it is heard in an epoch: altered, and normalised.

        What is drawn depends on seed, epoch and utterance alone: on no order, and on no history.
        """
        waveform = self.waveforms[take.index]
        if self.settings.augmentation:
            waveform = augmentation.augment(
                waveform,
                np.random.default_rng([self.settings.seed, _AUGMENTATION, epoch, take.index]),
                kinds=self.settings.augmentation,
                speed=take.speed,
                sampling_rate=self.sampling_rate,
            )
        if self.settings.normalise:
            waveform = (waveform - waveform.mean()) / np.sqrt(waveform.var() + 1e-7)
        return waveform

    def loss(
        self, model: Wav2Vec2ForCTC, batch: Batch, waveforms: Sequence[Waveform]
    ) -> torch.Tensor:
        """Return the sum over a micro-batch of each utterance's CTC loss for a label."""
        lengths = [len(waveform) for waveform in waveforms]
        rows = pad(waveforms, padded(max(lengths), self.sampling_rate))
        logits = logits_of(model, rows, lengths)
        targets = [self.labels[take.index] for take in batch]
        target_lengths = torch.tensor([len(target) for target in targets])
        losses = ctc_loss(
            logits.float().log_softmax(-1).transpose(0, 1),
            torch.tensor([label for target in targets for label in target]).to(logits.device),
            frames_of(model, torch.tensor(lengths)),
            target_lengths,
            blank=model.config.pad_token_id or 0,
            reduction="none",
        )
        return (losses / target_lengths.to(losses.device)).sum()


def samples_needed(
    model: Wav2Vec2ForCTC, waveforms: Sequence[Waveform], labels: Sequence[Sequence[int]]
) -> NDArray[np.int64]:
    """Return the fewest samples that each utterance's labels need.

    Raises:
        ValueError: there are none, or an utterance's labels do not fit its frames or the
            vocabulary; the message has its index.
    """
    if len(waveforms) != len(labels):
        raise ValueError(f"{len(waveforms)} waveforms but {len(labels)} label sequences")
    if not len(waveforms):
        raise ValueError("there is nothing to train on: no waveforms")
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
