"""Transcribing with a CTC model: paths in, transcripts out.

The transcript of a file never depends on which files share its batch: each is normalised by
itself, and `models.logits` keeps padding out of the model. It knows no SQL.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC

from ..exceptions import MediaError
from ..media.audio import decode_audio
from .base import InputError, Watch
from .frames import frames_of
from .logits import logits_of, pad
from .vocabulary import in_case

#: Files decoded at once: enough to batch like with like, few enough to stay small in memory.
_WINDOW: Final = 128

#: Padded lengths come from this geometric scale, because each shape that oneDNN has not seen
#: before costs it a set-up (180 ms for a small model, against 15 ms for one seen).
_BUCKET: Final = 1.25

#: A batch holds at most this much padded audio, in seconds, whatever its number of rows.
_BATCH_SECONDS: Final = 120.0

#: From so many parameters on a CPU gains nothing by a batch, and loses by padding: with 95 million,
#: eight files of 1 to 7 seconds took 3.4 s one by one, and 4.9 s in batches of four.
_LARGE: Final = 50_000_000


class CTCModel:
    """A Wav2Vec2 model with its tokenizer, on a device."""

    def __init__(
        self,
        model: Wav2Vec2ForCTC,
        tokenizer: Wav2Vec2CTCTokenizer,
        extractor: Wav2Vec2FeatureExtractor,
        text_case: str | None,
        device: str,
    ) -> None:
        self._model = model.eval()  # type: ignore[no-untyped-call]
        self._model.to(torch.device(device))
        self._tokenizer = tokenizer
        self._extractor = extractor
        self._text_case = text_case
        size = sum(parameter.numel() for parameter in model.parameters())
        #: Whether each file goes alone, with nothing beside it or behind it.
        self._alone = torch.device(device).type == "cpu" and size >= _LARGE
        # DuckDB calls from several threads; torch uses all cores for one forward pass anyway.
        self._lock = threading.Lock()

    def predict(self, inputs: pa.Array, options: Mapping[str, Any], watch: Watch) -> pa.Array:
        """Transcribe files; see `models.base.Model`."""
        paths = [Path(path) for path in inputs.to_pylist()]
        texts: list[str] = []
        with self._lock, ThreadPoolExecutor(2) as decoders:
            for start in range(0, len(paths), _WINDOW):
                window = paths[start : start + _WINDOW]
                waveforms = decode_all(
                    window, self._extractor.sampling_rate, decoders, start, watch.check
                )
                self._require_frames(waveforms, start)
                texts += self._transcribe(waveforms, options["batch_size"], watch)
        return pa.array(texts, pa.string())

    def _require_frames(self, waveforms: Sequence[NDArray[np.float32]], start: int) -> None:
        for index, waveform in enumerate(waveforms):
            if self._frames(len(waveform)) < 1:
                seconds = len(waveform) / self._extractor.sampling_rate
                raise InputError(start + index, f"too short to transcribe ({seconds:.3f} s)")

    def _frames(self, samples: int) -> int:
        return frames_of(self._model, samples)

    def _transcribe(
        self, waveforms: Sequence[NDArray[np.float32]], batch_size: int, watch: Watch
    ) -> list[str]:
        texts = [""] * len(waveforms)
        lengths = [len(waveform) for waveform in waveforms]
        limit = 1 if self._alone else batch_size
        for batch in _batches(lengths, limit, self._extractor.sampling_rate):
            watch.check()
            logits = self.logits([waveforms[index] for index in batch])
            for index, frames in zip(batch, logits, strict=True):
                ids = frames.argmax(dim=-1).cpu()
                texts[index] = in_case(self._tokenizer.decode(ids), self._text_case)
            seconds = sum(lengths[i] for i in batch) / self._extractor.sampling_rate
            watch.advance(len(batch), seconds)
        return texts

    def logits(self, waveforms: Sequence[NDArray[np.float32]]) -> list[torch.Tensor]:
        """Return the logits of waveforms that go through the model together.

        Each is (frames, vocabulary), on the model's device, and what the waveform would get alone.
        The waveforms are mono, at the extractor's sampling rate, and long enough for a frame.
        """
        lengths = [len(waveform) for waveform in waveforms]
        longest = max(lengths)
        if not self._alone:
            longest = _bucket(longest, self._extractor.sampling_rate)
        rows = pad([self._normalised(waveform) for waveform in waveforms], longest)
        with torch.inference_mode():
            logits = logits_of(self._model, rows, lengths)
        return [
            frames[: self._frames(length)] for frames, length in zip(logits, lengths, strict=True)
        ]

    def _normalised(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        # One by one: what a checkpoint's settings say of masks and padding then has no effect.
        features = self._extractor(waveform, sampling_rate=self._extractor.sampling_rate)
        return np.asarray(features["input_values"][0], dtype=np.float32)


def decode_all(
    paths: Sequence[Path],
    sampling_rate: int,
    decoders: ThreadPoolExecutor,
    first: int,
    check: Any,
) -> list[NDArray[np.float32]]:
    """Decode files side by side, in order; `first` is the index of the first in its batch.

    Raises:
        InputError: a file is missing or broken.
    """
    futures = [decoders.submit(decode_audio, path, sampling_rate) for path in paths]
    waveforms = []
    for index, future in enumerate(futures):
        try:
            check()
            waveforms.append(future.result())
        except MediaError as error:
            raise InputError(first + index, str(error)) from error
        finally:
            if index + 1 > len(waveforms):  # something was raised: what waits need not be done
                for waiting in futures:
                    waiting.cancel()
    return waveforms


def _batches(lengths: Sequence[int], batch_size: int, sampling_rate: int) -> Iterator[list[int]]:
    """Pack utterances of like length, longest first; yield their indices.

    The longest come first so that a shortage of memory shows at once.
    """
    batch: list[int] = []
    widest = 0
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if not batch:
            widest = lengths[index]
        batch.append(index)
        if len(batch) == batch_size or (len(batch) + 1) * widest > _BATCH_SECONDS * sampling_rate:
            yield batch
            batch = []
    if batch:
        yield batch


def _bucket(samples: int, sampling_rate: int) -> int:
    """Round a length up to the scale of padded lengths."""
    width = float(sampling_rate)
    while width < samples:
        width *= _BUCKET
    return int(width)
