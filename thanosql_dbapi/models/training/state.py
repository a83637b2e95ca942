"""How far a training is: all that its course depends on but for weights and optimiser.

Plain numbers, so that it goes into JSON and comes back the same. It knows no torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from .settings import TrainingSettings


@dataclass(slots=True)
class State:
    """What was done until now.

    `measured` is the step that was last measured, `stale` counts measurements in a row without a
    better WER. `limit` is the most padded samples that a micro-batch may have on this machine.
    """

    lanes: int
    limit: int
    step: int = 0
    seconds: float = 0.0
    audio_seconds: float = 0.0
    epoch_losses: list[float] = field(default_factory=list)
    #: The utterances of the epoch under way, and since the last measurement: losses and count.
    in_epoch: tuple[float, int] = (0.0, 0)
    recent: tuple[float, int] = (0.0, 0)
    measured: int = 0
    best_step: int = 0
    best_wer: float | None = None
    best_loss: float = 0.0
    stale: int = 0

    def stepped(self, loss: float, utterances: int, audio_seconds: float) -> None:
        """Count a step with the mean loss of its utterances."""
        self.step += 1
        self.audio_seconds += audio_seconds
        self.in_epoch = self.in_epoch[0] + loss * utterances, self.in_epoch[1] + utterances
        self.recent = self.recent[0] + loss * utterances, self.recent[1] + utterances

    def epoch_over(self) -> None:
        """Note an epoch's mean loss."""
        self.epoch_losses.append(self.in_epoch[0] / self.in_epoch[1])
        self.in_epoch = 0.0, 0

    def note_wer(self, wer: float) -> bool:
        """Note a measurement; return whether the weights are the best until now.

        Of two with the same WER the one with the lower training loss is: held-out rows may be few.
        """
        loss = self.recent[0] / self.recent[1]
        self.measured, self.recent = self.step, (0.0, 0)
        better = self.best_wer is None or wer < self.best_wer
        self.stale = 0 if better else self.stale + 1
        if not better and not (wer == self.best_wer and loss < self.best_loss):
            return False
        self.best_step, self.best_wer, self.best_loss = self.step, wer, loss
        return True

    def facts(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)

    @classmethod
    def of(cls, facts: dict[str, Any]) -> State:
        """Return what `facts` gave."""
        pairs = {name: tuple(facts[name]) for name in ("in_epoch", "recent")}
        return cls(**(facts | pairs))


def identity(
    settings: TrainingSettings,
    lengths: Sequence[int],
    labels: Sequence[Sequence[int]],
    shapes: Sequence[Sequence[int]],
) -> str:
    """Return a digest of what a checkpoint's position means something for.

    It does not read the waveforms: who keeps checkpoints, keeps them by the data they are of.
    """
    chosen = asdict(settings) | {"augmentation": sorted(settings.augmentation)}
    content = [chosen, [int(each) for each in lengths], [list(map(int, each)) for each in labels]]
    text = json.dumps([*content, [list(each) for each in shapes]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
