"""How a training goes: what an engineer sets. It loads no torch, and knows no SQL option."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: What augmentation may alter; see `augmentation`.
KINDS: Final = frozenset({"speed", "filter", "noise", "mask"})


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How to train.

    `batch_size` is how many utterances a step of the optimiser goes over, in as many micro-batches
    as memory wants. `batch_seconds`, where given, replaces it: as many utterances as fill so many
    padded seconds. `max_steps` 0 is no limit; `early_stopping` ends a training after so many
    measurements in a row without a better WER, 0 never.

    `precision` is 'full' (float32) or 'half': bfloat16 where the device has it, else float16 with
    scaled losses. `normalise` brings each utterance to zero mean and unit variance, as a feature
    extractor with `do_normalize` does at inference. `shorter_first` goes through the first epoch
    from short utterances to long ones, which a model with random weights needs.
    """

    batch_size: int = 16
    max_epochs: int = 5
    max_steps: int = 0
    learning_rate: float = 1e-4
    warmup_ratio: float = 0.1
    weight_decay: float = 0.01
    seed: int = 0
    freeze_feature_encoder: bool = False
    gradient_checkpointing: bool = False
    precision: str = "full"
    augmentation: frozenset[str] = KINDS
    normalise: bool = True
    batch_seconds: float | None = None
    shorter_first: bool = False
    early_stopping: int = 0

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.max_epochs < 1:
            raise ValueError("batch_size and max_epochs must be at least 1")
        if self.precision not in {"full", "half"}:
            raise ValueError(f"precision is '{self.precision}'; it can be 'full' or 'half'")
        if unknown := self.augmentation - KINDS:
            raise ValueError(f"there is no augmentation '{min(unknown)}'")
