"""Transcribing with a CTC model: paths in, transcripts out.

The transcript of a file never depends on which files share its batch. Models with layer norm in
the feature encoder are told by an attention mask what is padding; those with group norm
(wav2vec2-base) normalise over time *including* padding, so they get one file at a time. It
knows no SQL.
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
from .frames import frames_of, masks_padding
from .vocabulary import in_case

#: Files decoded at once: enough to batch like with like, few enough to stay small in memory.
_WINDOW: Final = 128

#: Padded lengths come from this geometric scale, because each shape that oneDNN has not seen
#: before costs it a set-up (180 ms for a small model, against 15 ms for one seen).
_BUCKET: Final = 1.25

#: A batch holds at most this much padded audio, in seconds, whatever its number of rows.
_BATCH_SECONDS: Final = 120.0


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
        masked = masks_padding(self._model)
        lengths = [len(waveform) for waveform in waveforms]
        for batch in _batches(lengths, batch_size if masked else 1, self._extractor.sampling_rate):
            watch.check()
            for index, text in zip(
                batch, self._forward([waveforms[i] for i in batch], masked), strict=True
            ):
                texts[index] = text
            seconds = sum(lengths[i] for i in batch) / self._extractor.sampling_rate
            watch.advance(len(batch), seconds)
        return texts

    def _forward(self, batch: list[NDArray[np.float32]], masked: bool) -> list[str]:
        padding: dict[str, Any] = {}
        if masked:
            longest = max(map(len, batch))
            padding = {
                "padding": "max_length",
                "max_length": _bucket(longest, self._extractor.sampling_rate),
            }
        features = self._extractor(
            batch,
            sampling_rate=self._extractor.sampling_rate,
            return_tensors="pt",
            # What the checkpoint's own setting says of masks need not fit its encoder.
            return_attention_mask=masked,
            **padding,
        ).to(self._model.device)
        with torch.inference_mode():
            logits = self._model(**features).logits
        best = logits.argmax(dim=-1).cpu()
        return [
            in_case(self._tokenizer.decode(ids[: self._frames(len(waveform))]), self._text_case)
            for ids, waveform in zip(best, batch, strict=True)
        ]


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
