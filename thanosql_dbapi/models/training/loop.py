"""CTC fine-tuning of a Wav2Vec2 model on waveforms and label numbers: one loop, that can go on.

What is random in a step depends on the seed and the step alone (`plan`, `utterances`, `draws`), so
a training that was cut off and goes on from a checkpoint ends as if it had not been. It knows no
SQL, no text, no vocabulary and no media: labels arrive as numbers, and the model is left trained
in memory for the caller to save.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import torch
from transformers import Wav2Vec2ForCTC

from ...journal import Step
from .. import threads
from .checkpoints import Checkpoint, Checkpoints
from .optimiser import Optimiser
from .plan import Plan
from .processes import Processes
from .settings import TrainingSettings
from .state import State, identity
from .steps import Steps, UtteranceTooLong
from .utterances import Utterances, Waveform, samples_needed

#: Seconds of training between checkpoints; more where writing them takes over a twentieth.
_CHECKPOINT_S: Final = 30.0
_CHECKPOINT_SHARE: Final = 0.05

__all__ = ["TrainingSummary", "UtteranceTooLong", "train"]

Validate: TypeAlias = Callable[[Wav2Vec2ForCTC], float]


@dataclass(frozen=True, slots=True)
class TrainingSummary:
    """What a whole training did; `epoch_losses` are means over an epoch's utterances.

    `steps` and `seconds` count what was done before it was resumed too, `resumed_from` is the step
    it went on from, and `damaged` tells the checkpoints that were passed over. `best_step` is the
    step whose weights the model has, by `best_wer`; the last, where nothing was measured.
    """

    steps: int
    epochs: int
    seconds: float
    epoch_losses: tuple[float, ...]
    audio_seconds: float
    resumed_from: int
    damaged: tuple[str, ...]
    best_step: int
    best_wer: float | None
    stopped_early: bool
    micro_batch_seconds: float
    lanes: int
    checkpoint_seconds: float


def train(
    model: Wav2Vec2ForCTC,
    waveforms: Sequence[Waveform],
    labels: Sequence[Sequence[int]],
    settings: TrainingSettings | None = None,
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
    processes: Processes | None = None,
) -> TrainingSummary:
    """Train the model in place, and leave it in evaluation mode on `device`.

    Waveforms are mono at `sampling_rate` hertz; labels are numbers of the model's vocabulary.  Both
    are read again in each epoch, so a sequence may make them when asked.  `report` is called after
    each step, `check` before it; what they raise ends the training. `validate` returns the WER of
    the model as it stands: the best weights are what is left in the end. `measured` is told the
    step and what came of it.

    `checkpoints` is a folder that is this training's alone. What was cut off goes on from there,
    `resumed` is told the step, and ends with the same weights: on a CPU the same bits, as the same
    seed gives at any time. `processes` is given where this is one of several that train together.

    Raises:
        ValueError: an utterance's labels do not fit its frames or the vocabulary; the message has
            its index, and nothing was trained.
        FloatingPointError: the loss or its gradient is no longer finite.
        UtteranceTooLong: memory does not hold an utterance.
    """
    settings = settings or TrainingSettings()
    needed = samples_needed(model, waveforms, labels)
    where = device or model.device
    utterances = Utterances(waveforms, labels, settings, sampling_rate)
    with threads.restored, _training(model.to(where), settings):  # type: ignore[arg-type]
        plan = Plan(utterances.lengths, needed, settings, sampling_rate)
        run = _Run(model, utterances, plan, where, processes)
        run.report, run.check, run.measured = report, check, measured
        run.validate = validate
        if checkpoints is not None:
            run.keep_in(Checkpoints(checkpoints), resume=resume)
            if run.resumed_from and resumed:
                resumed(run.resumed_from)
        return run.to_the_end()


class _Run:
    """One training under way."""

    report: Callable[[Step], None] | None = None
    check: Callable[[], None] | None = None
    measured: Callable[[int, float], None] | None = None
    validate: Validate | None = None

    def __init__(
        self,
        model: Wav2Vec2ForCTC,
        utterances: Utterances,
        plan: Plan,
        device: torch.device,
        processes: Processes | None,
    ) -> None:
        self._model = model
        self._utterances = utterances
        self._settings = utterances.settings
        self._plan = plan
        self._device = device
        self._measurements = plan.measurements()
        self._optimiser = Optimiser(model, self._settings, plan.steps, device)
        self._steps = Steps(model, utterances, plan, self._optimiser, device, processes)
        self._processes = processes
        self._keeps = processes is None or processes.is_first
        self._state = self._steps.state
        self._checkpoints: Checkpoints | None = None
        self._best: dict[str, torch.Tensor] = {}
        self._best_saved = 0
        #: False while weights and state do not go together.
        self._whole = True
        self._updates = ThreadPoolExecutor(1, "thanosql-update")
        self._saved = (0, 0)
        self._saved_at = time.monotonic()
        self._saving_s = self._last_save_s = 0.0
        self._identity = self._identified()
        self.resumed_from = 0

    # Checkpoints

    def keep_in(self, checkpoints: Checkpoints, *, resume: bool) -> None:
        """Keep checkpoints, and go on from the newest that fits."""
        self._checkpoints = checkpoints
        found = checkpoints.load() if resume else None
        if self._processes:
            self._processes.wait()  # before one of them writes what another still reads
        if found is not None and found.facts["identity"] == self._identity:
            self._go_on(found)
        elif self._keeps:
            checkpoints.clear()

    def _identified(self) -> str:
        shapes = [each.shape for each in self._model.parameters()]
        return identity(
            self._settings, self._utterances.lengths.tolist(), self._utterances.labels, shapes
        )

    def _go_on(self, checkpoint: Checkpoint) -> None:
        self._state = self._steps.state = State.of(checkpoint.facts["state"])
        self._model.load_state_dict(checkpoint.groups["weights"])
        self._optimiser.load(checkpoint.groups["optimiser"], checkpoint.facts["scaler"])
        best = checkpoint.groups.get("best", {})
        self._best = {name: each.clone() for name, each in best.items()}
        self._best_saved = self._state.best_step
        self._saved = self._state.step, self._state.measured
        self.resumed_from = self._state.step

    def _save(self) -> None:
        place = self._state.step, self._state.measured
        if self._checkpoints is None or self._saved == place or not self._keeps:
            return
        started = time.monotonic()
        groups: dict[str, Any] = {
            "weights": self._model.state_dict(),
            "optimiser": self._optimiser.tensors(),
        }
        if self._best:
            groups["best"] = self._best
        same = frozenset({"best"} if self._best_saved == self._state.best_step else ())
        facts = {
            "identity": self._identity,
            "state": self._state.facts(),
            "scaler": self._optimiser.scaler_facts(),
        }
        self._checkpoints.save(groups, same, facts)
        self._saved, self._best_saved = place, self._state.best_step
        self._saved_at = time.monotonic()
        self._last_save_s = self._saved_at - started
        self._saving_s += self._last_save_s

    def _save_sometimes(self) -> None:
        patience = max(_CHECKPOINT_S, self._last_save_s / _CHECKPOINT_SHARE)
        if time.monotonic() - self._saved_at >= patience:
            self._save()

    # The course

    def to_the_end(self) -> TrainingSummary:
        """Train until the last step, or until it gets no better."""
        before = self._state.seconds
        started = time.monotonic()
        try:
            while True:
                self._state.seconds = before + time.monotonic() - started
                if self._state.step in self._measurements and self._validate_now():
                    self._measure()
                if self._is_over():
                    break
                if self.check:
                    self.check()
                self._step()
                self._save_sometimes()
        except FloatingPointError:
            raise
        except BaseException:
            if self._whole and self._state.step:
                self._save()
            raise
        finally:
            self._updates.shutdown()
            self._steps.close()
        self._save()
        if self._best:
            self._model.load_state_dict(self._best)
        return self._summary()

    def _is_over(self) -> bool:
        patience = self._settings.early_stopping
        stopped = bool(patience) and self._state.stale >= patience
        return stopped or self._state.step >= self._plan.steps

    def _validate_now(self) -> bool:
        return self.validate is not None and self._state.measured != self._state.step

    def _measure(self) -> None:
        assert self.validate is not None
        self._model.train(False)
        try:
            wer = self.validate(self._model)
        finally:
            self._model.train()
        if self._processes:
            wer = self._processes.agree(wer)
        self._whole = False
        if self._state.note_wer(wer) and self._keeps:
            weights = self._model.state_dict()
            self._best = {name: each.to("cpu", copy=True) for name, each in weights.items()}
        self._whole = True
        if self.measured:
            self.measured(self._state.step, wer)
        self._save()

    def _step(self) -> None:
        state = self._state
        loss, rate = self._steps.gradients(state.step)
        # In a thread that Ctrl-C does not reach: half an update could not be gone on from.
        update = self._updates.submit(self._update, loss)
        try:
            update.result()
        finally:
            wait([update])
        if self.report:
            self.report(self._told(loss, rate))

    def _update(self, loss: float) -> None:
        """Change the weights, and what is known of how far they are."""
        state = self._state
        self._whole = False
        self._optimiser.step(state.step)
        batch = self._plan.batch(state.step)
        audio_seconds = sum(take.samples for take in batch) / self._utterances.sampling_rate
        state.stepped(loss, len(batch), audio_seconds)
        if self._plan.ends_epoch(state.step):
            state.epoch_over()
        self._whole = True

    def _told(self, loss: float, rate: float) -> Step:
        state, plan = self._state, self._plan
        epoch = plan.epoch_of(state.step - 1)
        first = plan.ends[epoch - 1] if epoch else 0
        done = epoch + (state.step - first) / (plan.ends[epoch] - first)
        return Step(
            step=state.step,
            steps=plan.steps,
            epoch=done,
            epochs=self._epochs(plan.steps),
            loss=loss,
            learning_rate=rate,
            audio_seconds=state.audio_seconds,
        )

    def _epochs(self, steps: int) -> float:
        epoch = self._plan.epoch_of(steps - 1)
        first = self._plan.ends[epoch - 1] if epoch else 0
        return epoch + (steps - first) / (self._plan.ends[epoch] - first)

    def _summary(self) -> TrainingSummary:
        state = self._state
        return TrainingSummary(
            steps=state.step,
            epochs=self._plan.epoch_of(state.step - 1) + 1,
            seconds=state.seconds,
            epoch_losses=tuple(state.epoch_losses),
            audio_seconds=state.audio_seconds,
            resumed_from=self.resumed_from,
            damaged=tuple(self._checkpoints.damaged if self._checkpoints else ()),
            best_step=state.best_step or state.step,
            best_wer=state.best_wer,
            stopped_early=state.step < self._plan.steps,
            micro_batch_seconds=state.limit / self._utterances.sampling_rate,
            lanes=state.lanes,
            checkpoint_seconds=self._saving_s,
        )


@contextmanager
def _training(model: Wav2Vec2ForCTC, settings: TrainingSettings) -> Iterator[None]:
    """Put the model into training mode, and back into evaluation mode however it ends.

    Torch's random state, which a lone lane seeds, is given back to the caller too.
    """
    encoder: Any = model.wav2vec2.feature_extractor
    frozen = [each for each in encoder.parameters() if each.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(not settings.freeze_feature_encoder)
    if settings.gradient_checkpointing:
        _checkpointing(model, "enable")({"use_reentrant": False})
    model.train()
    try:
        with torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []):
            yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(True)
        if settings.gradient_checkpointing:
            _checkpointing(model, "disable")()
        model.zero_grad(set_to_none=True)
        model.train(False)


def _checkpointing(model: Any, verb: str) -> Any:
    # Transformers 5 has renamed them on the way, and warns of the old names.
    new = getattr(model, f"activation_checkpointing_{verb}", None)
    return new or getattr(model, f"gradient_checkpointing_{verb}")
