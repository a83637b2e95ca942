"""Transcribing with a CTC model: media in, predictions out.

What a file is said to hold never depends on which files share its batch: each is normalised by
itself, and `models.logits` keeps padding out of the model. The engine is `models.pipeline`'s. It
knows no SQL.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC

from .alignment import alphabet_of, seconds_per_frame, transcript
from .base import Outcome, Prediction, Watch
from .beam import CANDIDATES, BeamDecoder, Beams
from .frames import frames_of, samples_for
from .logits import logits_of, pad
from .pipeline import Pipeline
from .precision import ExactFloat32, require_numbers, weights_at
from .speech_options import resolve_precision
from .windows import Candidates, Path, Window, cut, stitch

if TYPE_CHECKING:
    from pathlib import Path as FilePath

    from ..media.sources import Media

#: Longer files are cut into windows of so many seconds, which share so many with their neighbour.
#: Within a window's first and last two seconds the model hears too little of what is around.
WINDOW_S: Final = 32.0
OVERLAP_S: Final = 4.0

#: A window that does not fit into memory is halved, down to this many seconds.
_SMALLEST_S: Final = 2.0


class CTCModel:
    """A Wav2Vec2 model with its tokenizer, on a device; see `models.base.Model`."""

    def __init__(
        self,
        model: Wav2Vec2ForCTC,
        tokenizer: Wav2Vec2CTCTokenizer,
        extractor: Wav2Vec2FeatureExtractor,
        text_case: str | None,
        device: str,
        folder: FilePath | None = None,
    ) -> None:
        self._device = device
        self.recogniser = CTCRecogniser(model, tokenizer, extractor, text_case, device, folder)
        self.pipeline = Pipeline(self.recogniser, device)

    def predict(
        self, inputs: Sequence[Media], options: Mapping[str, Any], watch: Watch
    ) -> Generator[tuple[int, Outcome]]:
        """Transcribe files; see `models.base.Model`.

        Raises:
            NotSupportedError: the options ask for a beam search, and there is no language model.
        """
        self.recogniser.beam(options)  # before any file is read
        precision = resolve_precision(options["precision"], self._device)
        return self.pipeline.run(inputs, options, precision, watch, fixed=precision == "int8")

    def logits(
        self, waveforms: Sequence[NDArray[np.float32]], precision: str = "full"
    ) -> list[torch.Tensor]:
        """Return the logits of waveforms that go through the model together.

        Each is (frames, vocabulary), on the model's device, and what the waveform would get alone.
        The waveforms are mono, at the extractor's sampling rate, and long enough for a frame.
        """
        recogniser = self.recogniser
        rows = [recogniser.normalised(waveform) for waveform in waveforms]
        logits = recogniser.logits(rows, max(map(len, rows)), precision)
        counts = [recogniser.frames(len(row)) for row in rows]
        return [frames[:count] for frames, count in zip(logits, counts, strict=True)]


class CTCRecogniser:
    """What a CTC model does with windows; see `models.recogniser.Recogniser`."""

    def __init__(
        self,
        model: Wav2Vec2ForCTC,
        tokenizer: Wav2Vec2CTCTokenizer,
        extractor: Wav2Vec2FeatureExtractor,
        text_case: str | None,
        device: str,
        folder: FilePath | None = None,
    ) -> None:
        self._model = model.eval()  # type: ignore[no-untyped-call]
        self._model.to(torch.device(device))
        self._on_gpu = torch.device(device).type == "cuda"
        self._models = {"full": self._model}
        self._preparing = threading.Lock()
        self._contexts = {"full": ExactFloat32(device)}
        self._normalise = bool(extractor.do_normalize)
        self._alphabet = alphabet_of(tokenizer, model.lm_head.out_features, text_case)
        self._beams = None if folder is None else Beams(folder, self._alphabet)
        self._quiet = self._alphabet.spaces | (
            np.arange(model.lm_head.out_features) == self._alphabet.blank
        )
        self.sampling_rate: int = extractor.sampling_rate
        self.shortest = samples_for(model, 1)
        #: Samples from one frame to the next: windows start at multiples of it.
        self._hop = samples_for(model, 2) - self.shortest
        self._frame_s = seconds_per_frame(model, self.sampling_rate)

    @property
    def window_s(self) -> float:
        """The longest window, in seconds."""
        return self._samples(WINDOW_S) / self.sampling_rate

    def _samples(self, seconds: float) -> int:
        """Return about so many seconds in samples, a whole number of frames."""
        return max(1, int(seconds * self.sampling_rate) // self._hop) * self._hop

    def prepare(self, precision: str) -> None:
        """Make the weights of a precision, once; see `models.recogniser.Recogniser`."""
        with self._preparing:
            if precision not in self._models:
                self._models[precision] = weights_at(precision, self._model)

    def cut(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[Window]:
        """Yield the windows of a file; see `models.recogniser.Recogniser`."""
        window, overlap = self._samples(WINDOW_S), self._samples(OVERLAP_S)
        for first, waveform in cut(blocks, window, overlap):
            if len(waveform) >= self.shortest:
                yield Window(self.normalised(waveform), first, len(waveform))

    def normalised(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a waveform as transformers' feature extractor leaves it, to the last bit."""
        return normalised(waveform) if self._normalise else waveform

    def width(self, window: Window) -> int:
        """Return the samples of a window."""
        return window.samples

    def split(self, window: Window) -> Sequence[Window]:
        """Return a window as two that overlap; none where it is short already."""
        seconds = window.samples / self.sampling_rate
        overlap = self._samples(min(OVERLAP_S, seconds / 4))
        half = self._samples((seconds + overlap / self.sampling_rate) / 2) + self._hop
        if half >= window.samples or half < _SMALLEST_S * self.sampling_rate:
            return ()
        return tuple(
            Window(self.normalised(samples), window.first + first, len(samples))
            for first, samples in cut([window.features], half, overlap)
        )

    def frames(self, samples: int) -> int:
        """Return how many frames of logits so many samples give."""
        return frames_of(self._model, samples)

    def logits(
        self, rows: Sequence[NDArray[np.float32]], width: int, precision: str
    ) -> torch.Tensor:
        """Return the logits of normalised waveforms, padded to so many samples.

        They are (rows, frames, vocabulary), on the model's device; see `logits.logits_of`.
        """
        with torch.inference_mode(), self._contexts.get(precision, nullcontext()):
            padded = pad(rows, width)
            if self._on_gpu:
                padded = padded.pin_memory()  # so that the copy need not be waited for
            return logits_of(self._models[precision], padded, [len(row) for row in rows])

    def beam(self, options: Mapping[str, Any]) -> BeamDecoder | None:
        """Return the beam search that options come to; None is the greedy path.

        Raises:
            NotSupportedError: a beam search is asked for, and there is no language model.
        """
        if self._beams is None:
            return None
        choice = self._beams.choice(options)
        return None if choice is None else self._beams.decoder(choice)

    def forward(
        self, windows: Sequence[Window], width: int, precision: str, options: Mapping[str, Any]
    ) -> Sequence[Path]:
        """Return each window's path; see `models.recogniser.Recogniser`.

        A beam search needs the paths' candidates too.
        """
        logits = self.logits([window.features for window in windows], width, precision)
        if self.beam(options) is None:
            with torch.inference_mode():
                logits = logits.float()
                ids = logits.argmax(dim=-1)
                log_probs = logits.log_softmax(dim=-1).gather(-1, ids[..., None])[..., 0]
            rows = zip(windows, ids.cpu().numpy(), log_probs.cpu().numpy(), strict=True)
            paths = [self._path(*row) for row in rows]
        else:
            found = zip(windows, *likeliest(logits), strict=True)
            paths = [self._path_with(*row) for row in found]
        if precision != "half":
            return paths
        # float16 ends at 65,504, and some models go beyond it on some files.
        return [
            path if np.isfinite(path.log_probs).all() else self._in_full(window, options)
            for window, path in zip(windows, paths, strict=True)
        ]

    def _in_full(self, window: Window, options: Mapping[str, Any]) -> Path:
        (path,) = self.forward([window], window.samples, "full", options)
        return path

    def _path(self, window: Window, ids: NDArray[np.int64], log_probs: NDArray[np.float32]) -> Path:
        count = self.frames(window.samples)
        # Copies: a view of the batch's rows would keep all of them until the file is done.
        return Path(ids[:count].copy(), log_probs[:count].copy(), window.first // self._hop)

    def _path_with(
        self, window: Window, labels: NDArray[np.int32], log_probs: NDArray[np.float32]
    ) -> Path:
        count = self.frames(window.samples)
        kept = Candidates(labels[:count].copy(), log_probs[:count].copy())
        ids = kept.labels[:, 0].astype(np.int64)
        return Path(ids, kept.log_probs[:, 0], window.first // self._hop, kept)

    def join(
        self,
        pieces: Sequence[tuple[Window, Path]],
        seconds: float,
        options: Mapping[str, Any],
    ) -> Prediction:
        """Return what the paths of a file's windows say; see `models.recogniser.Recogniser`."""
        path = stitch([path for _, path in pieces], self._quiet)
        require_numbers(path.log_probs)
        ids, log_probs = path.ids, path.log_probs
        decoder = self.beam(options)
        if decoder is not None and path.candidates is not None:
            ids, log_probs = decoder.path(path.candidates)
        return transcript(ids, log_probs, self._alphabet, frame_s=self._frame_s, seconds=seconds)


def likeliest(logits: torch.Tensor) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return each frame's likeliest labels, the likeliest first, with their log-probabilities.

    `logits` are (rows, frames, labels); both answers are (rows, frames, candidates).
    """
    with torch.inference_mode():
        log_probs = logits.float().log_softmax(dim=-1)
        found = log_probs.topk(min(CANDIDATES, log_probs.shape[-1]), dim=-1)
        return found.indices.int().cpu().numpy(), found.values.cpu().numpy()


def normalised(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring a waveform to zero mean and unit variance, to the last bit as transformers does.

    Its own call pads, copies and checks in Python, and takes longer than the arithmetic.
    """
    centred = waveform - waveform.mean()
    scaled: NDArray[np.float32] = centred / np.sqrt(np.square(centred).mean() + 1e-7)
    return scaled
