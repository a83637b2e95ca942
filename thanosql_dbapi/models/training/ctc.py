"""The training of a CTC recogniser, from rows of audio and text to a folder with a model.

    rows → waveforms on disk → findings           `prepare`: in seconds, nothing is trained
         → train and held-out rows → the loop → its best weights
         → language model and decoder → the gate  `PreparedCTC.train`

It knows no SQL and no registry.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import torch
from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC

from ...exceptions import TrainingError
from ...journal import Step
from .. import stack
from ..alignment import alphabet_of
from ..base import Finding, Severity, Trained, Training
from ..decoder_choice import DecoderChoice
from ..frames import frames_of
from ..gate import Judged, Rates, refusal, remark
from ..held_out import emissions, wer_of
from ..matching import belong
from ..seen import write_seen
from ..speech_options import resolve_precision
from ..vocabulary import Fitting, UnfitText, Vocabulary, fit_all, majority_case
from .findings import Kind, Rows, usable, whole
from .judging import Judge
from .launch import WorkerDied, train_in_processes
from .loop import TrainingSummary, train
from .preflight import examine
from .settings import KINDS, TrainingSettings
from .split import split
from .steps import UtteranceTooLong
from .waveforms import LONGEST_S, WaveformStore
from .words import learn_words

Parts: TypeAlias = tuple[Wav2Vec2ForCTC, Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor]

#: In so many rows it is heard whether texts belong to them.
_HEARD: Final = 32

#: Where nothing is held out, a model is judged on so many of the rows that it was trained on.
_JUDGED: Final = 100


def prepare(training: Training, parts: Parts, language: str) -> PreparedCTC:
    """Decode the rows of a training, fit their texts to the model's letters, and look at both.

    `parts` are the base's model, tokenizer and feature extractor; numbers are spelled in
    `language`.
    """
    model, tokenizer, extractor = parts
    letters = frozenset(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens) - {"|"}
    texts = [*training.labels, *training.held_out_labels]
    fittings = fit_all(Vocabulary(letters, language), texts)
    numbers = tokenizer.get_vocab()
    labels = [_labels(numbers, fitting) for fitting in fittings]
    media = [*training.inputs, *training.held_out_inputs]
    longest = training.options["max_duration_s"]
    store = WaveformStore.fill(
        training.folder,
        media,
        extractor.sampling_rate,
        training.check,
        training.progress,
        longest_s=longest or LONGEST_S,
    )
    rows = Rows(store, [each.name for each in media], fittings, labels, len(training.inputs))
    findings = examine(rows, letters, lambda samples: frames_of(model, samples), longest)
    prepared = PreparedCTC(training, parts, rows, findings)
    return replace(prepared, findings=[*prepared.misplaced(), *findings])


def _labels(numbers: Mapping[str, int], fitting: Fitting | UnfitText) -> list[int] | None:
    """Return the labels of a text: one a letter, which the tokenizer takes long to say."""
    if isinstance(fitting, UnfitText):
        return None
    return [numbers["|" if letter == " " else letter] for letter in fitting.text]


@dataclass(frozen=True, slots=True)
class PreparedCTC:
    """A training whose rows were read and looked at; see `models.base.Prepared`."""

    training: Training
    parts: Parts
    rows: Rows
    findings: Sequence[Finding]

    def train(self, folder: Path) -> Trained:
        """Train, choose a decoder, judge the model, and save it; see `models.base.Prepared`."""
        model, tokenizer, extractor = self.parts
        device = stack.resolve_device(self.training.device)
        settings = self._settings(device)
        trained, held_out = self._split()
        # Sent there first: base and trained model are then judged on the same device.
        model.to(torch.device(device))  # type: ignore[arg-type]
        judge = self._judge(held_out or trained[:_JUDGED])
        base_wer = judge.wer(model)
        searched = judge.searched_wer(model, self.training.base)
        base_served = base_wer if searched is None else searched
        started = time.monotonic()
        shown = _Shown(self.training)
        measured = judge if held_out else None
        summary, divergence = self._fine_tune(trained, settings, device, measured, shown)
        seconds = time.monotonic() - started
        heard = judge.heard(model)
        wer = wer_of(judge.references, heard)
        judged = Judged(
            heard,
            judge.words,
            Rates(wer, wer),
            Rates(base_wer, base_wer),
            bool(held_out),
            divergence,
            shown.first_loss,
            summary.epoch_losses[-1] if summary and summary.epoch_losses else 0.0,
            self._belongs(judge, heard) if held_out else None,
        )
        # A search among what a bad model is unsure of takes long, and says nothing.
        heeded = [] if refusal(judged) else held_out
        decoder = self._decode(model, trained, heeded, folder)
        write_seen(folder, (self.rows.store.digests[row] for row in trained))
        served = wer
        if decoder.decoder == "beam" and decoder.wer_beam is not None:
            served = decoder.wer_beam
        for part in (model, tokenizer, extractor):
            part.save_pretrained(folder)
        lineage = {
            "rows": len(trained),
            "held_out_rows": len(held_out),
            "audio_seconds": round(sum(map(self.rows.store.seconds, trained)), 3),
            "metrics": {
                "wer": served,
                "greedy_wer": wer,
                "base_wer": base_served,
                "base_greedy_wer": base_wer,
            },
            "decoder": decoder.decoder,
            "decoder_evidence": decoder.evidence,
            "device": device,
            "precision": settings.precision,
            "training_seconds": round(seconds, 3),
            "steps": summary.steps if summary else None,
            "best_step": summary.best_step if summary else None,
            "epoch_losses": list(summary.epoch_losses) if summary else [],
            "stopped_early": summary.stopped_early if summary else None,
            "weights_digest": _digest(folder / "model.safetensors"),
            "libraries": {
                name: importlib.metadata.version(name) for name in ("torch", "transformers")
            },
        }
        judged = replace(judged, rates=Rates(wer, served), base=Rates(base_wer, base_served))
        facts = {"text_case": majority_case(self._texts(trained))}
        return Trained(facts, lineage, refusal(judged), remark(judged))

    def _belongs(self, judge: Judge, heard: Sequence[str]) -> bool | None:
        """Tell whether held-out texts belong to their rows; of few rows, what was found tells."""
        told = belong(heard, judge.references)
        suspected = any(found.kind == Kind.MISPLACED for found in self.findings)
        return False if told is None and suspected else told

    def misplaced(self) -> list[Finding]:
        """Return a finding if what the base hears in rows is not like their texts."""
        rows = usable(self.findings, len(self.training.inputs))
        rows = rows[:: max(1, -(-len(rows) // _HEARD))]
        judge = self._judge(rows)
        if belong(judge.heard(self.parts[0]), judge.references) is not False:
            return []
        detail = (
            f"what the base hears in {len(rows)} rows is no more like their own texts than like"
            " those of other rows: they may have slipped; of a language that the base does not"
            " know this says nothing"
        )
        return [whole(Kind.MISPLACED, Severity.WARNING, detail)]

    def _settings(self, device: str) -> TrainingSettings:
        options = self.training.options
        return TrainingSettings(
            batch_size=options["batch_size"],
            max_epochs=options["max_epochs"],
            max_steps=options["max_steps"],
            learning_rate=options["learning_rate"],
            warmup_ratio=options["warmup_ratio"],
            weight_decay=options["weight_decay"],
            seed=options["seed"],
            freeze_feature_encoder=options["freeze_feature_encoder"],
            gradient_checkpointing=options["gradient_checkpointing"],
            precision=resolve_precision(options["precision"], device),
            augmentation=_kinds(options["augmentation"]),
            normalise=bool(self.parts[2].do_normalize),
            early_stopping=options["early_stopping"],
        )

    def _split(self) -> tuple[list[int], list[int]]:
        """Return the indices of the rows to train on and of those to measure on."""
        count = len(self.training.inputs)
        given = len(self.training.held_out_inputs)
        able = usable(self.findings, count)
        if given:
            held_out = usable(self.findings, given, held_out=True)
            return able, [count + row for row in held_out]
        digests = [self.rows.store.recordings[row].digest for row in able]
        asked = self.training.options["validation"]
        part: float | Literal["auto"] = "auto" if isinstance(asked, str) else asked
        trained, held_out = split(len(able), part, digests, self.training.options["seed"])
        return [able[row] for row in trained], [able[row] for row in held_out]

    def _texts(self, rows: Sequence[int]) -> list[str]:
        """Return what is said in rows, as the table has it."""
        texts = [*self.training.labels, *self.training.held_out_labels]
        return [texts[row] for row in rows]

    def _fitted(self, rows: Sequence[int]) -> list[str]:
        """Return what is said in rows, in the model's letters."""
        fittings = (self.rows.fittings[row] for row in rows)
        return [each.text for each in fittings if isinstance(each, Fitting)]

    def _judge(self, rows: Sequence[int]) -> Judge:
        _, tokenizer, extractor = self.parts
        return Judge(
            [self.rows.store[row] for row in rows],
            self._fitted(rows),
            alphabet_of(tokenizer, self.parts[0].lm_head.out_features),
            {
                "normalise": bool(extractor.do_normalize),
                "sampling_rate": extractor.sampling_rate,
                "check": self.training.check,
            },
        )

    def _fine_tune(
        self,
        rows: Sequence[int],
        settings: TrainingSettings,
        device: str,
        judge: Judge | None,
        shown: _Shown,
    ) -> tuple[TrainingSummary | None, str | None]:
        """Train the model in place; return what was done, or where it diverged."""
        devices = self.training.options["devices"]
        run = train if devices == 1 else partial(train_in_processes, devices)
        try:
            return (
                run(
                    self.parts[0],
                    _Chosen(self.rows.store, rows),
                    [self.rows.labels[row] or [] for row in rows],
                    settings,
                    sampling_rate=self.rows.store.sampling_rate,
                    device=torch.device(device),
                    report=shown.step,
                    validate=None if judge is None else judge.wer,
                    measured=shown.measured,
                    checkpoints=self.training.folder / "checkpoint",
                    resume=self.training.options["resume"],
                    resumed=shown.resumed_from,
                    check=self.training.check,
                ),
                None,
            )
        except FloatingPointError as error:
            return None, str(error)
        except WorkerDied as error:
            raise TrainingError(
                f"the training on {devices} devices broke off: {error}. The same statement goes on"
                " from its last checkpoint."
            ) from error
        except UtteranceTooLong as error:
            number, _ = self.rows.number(rows[error.index])
            raise TrainingError(
                f"row {number}: '{self.rows.names[rows[error.index]]}' lasts {error.seconds:.1f} s,"
                " and training on it needs more memory than there is; OPTIONS (max_duration_s=…)"
                " leaves out longer ones"
            ) from error
        finally:
            shown.close()

    def _decode(
        self, model: Any, trained: Sequence[int], held_out: Sequence[int], folder: Path
    ) -> DecoderChoice:
        """Learn the words of the texts, choose a decoder, and write both into the folder."""
        judge = self._judge(held_out)
        return learn_words(
            self.training.base,
            folder,
            self._fitted(trained),
            judge.references,
            emissions(model, judge.waveforms, **judge.how),
            judge.alphabet,
            self.training.check,
        )


class _Chosen(Sequence[Any]):
    """Some rows of a store; nothing is read before it is asked for."""

    def __init__(self, store: WaveformStore, rows: Sequence[int]) -> None:
        self._store = store
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self._store[row] for row in self._rows[index]]
        return self._store[self._rows[index]]


class _Shown:
    """Tells the journal and the bar how far a training is."""

    def __init__(self, training: Training) -> None:
        self._journal = training.journal
        self._bar = training.progress.bar("train", "steps")
        self._began: tuple[float, int] | None = None
        self._wer: float | None = None
        points = training.journal.points
        self.first_loss = (points[0].loss if points else None) or 0.0

    def resumed_from(self, step: int) -> None:
        self._journal.resumed_from(step)

    def step(self, step: Step) -> None:
        self._journal.step(step)
        if step.step == 1:
            self.first_loss = step.loss
        facts = {"epoch": step.epoch, "loss": step.loss}
        if self._wer is not None:
            facts["wer"] = self._wer
        # The first step has costs that no other has, and what was resumed took no time now.
        if self._began is None:
            self._began = time.monotonic(), step.step
        else:
            began, first = self._began
            facts["remaining_s"] = (
                (time.monotonic() - began) / (step.step - first) * (step.steps - step.step)
            )
        self._bar.update(step.step, step.steps, **facts)

    def measured(self, step: int, wer: float) -> None:
        self._wer = wer
        self._journal.measured(step, wer)

    def close(self) -> None:
        self._bar.close()


def _kinds(asked: str | Sequence[str]) -> frozenset[str]:
    """Return the kinds of augmentation that were asked for by name."""
    names = frozenset([asked] if isinstance(asked, str) else asked)
    return KINDS if "all" in names else names - {"none"}


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
