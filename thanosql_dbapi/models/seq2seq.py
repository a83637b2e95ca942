"""Transcribing with a Whisper model: windows of features in, timed tokens and text out.

Model and method: Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision",
2022. Decoding is greedy and with time tokens, by transformers' `generate`. Each window is decoded
by itself, in 30 s of features: neither what stands beside it in a batch nor what was said before
it has a part in it, but for the language, which is heard once for each file.
What comes out becomes a prediction in `models.writing`.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizer,
)
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.whisper.tokenization_whisper import (
    LANGUAGES,
    TO_LANGUAGE_CODE,
)

from ..exceptions import MediaError, MediaReason, NotSupportedError, OptionError, nearest
from .pipeline import Pipeline
from .precision import ExactFloat32, weights_at
from .segments import FRAMES_PER_POSITION, POSITION_S, cut_at_quiet, is_soundless, segments
from .token_times import AlignmentHeads, token_ends
from .writing import Opening, Said, Spoken, Writer, Written

if TYPE_CHECKING:
    from ..media.sources import Media
    from .base import Outcome, Prediction, Watch
    from .windows import Window


class WhisperRecogniser:
    """A Whisper model with its tokenizer, as the pipeline takes it."""

    def __init__(
        self,
        model: WhisperForConditionalGeneration,
        tokenizer: WhisperTokenizer,
        extractor: WhisperFeatureExtractor,
        device: str,
    ) -> None:
        self._loaded = model.eval()  # type: ignore[no-untyped-call]
        #: By precision; where words are timed, models with the same weights that show attention.
        self._models: dict[str, WhisperForConditionalGeneration] = {}
        self._watched: dict[str, WhisperForConditionalGeneration] = {}
        self._writer = Writer(tokenizer, int(extractor.sampling_rate))
        self._extractor = extractor
        self._device = torch.device(device)
        # Any: what it holds beyond the general settings is Whisper's own.
        self._settings: Any = _greedy(model.generation_config)
        self._first_time: int = self._settings.no_timestamps_token_id + 1
        self._special = frozenset(tokenizer.all_special_ids)
        #: Language codes by label; empty where the model knows English alone.
        self._languages: dict[int, str] = {
            label: token.strip("<|>")
            for token, label in getattr(self._settings, "lang_to_id", {}).items()
        }
        self._exact = ExactFloat32(device)
        self._preparing = threading.Lock()
        self._alignment = AlignmentHeads(getattr(self._settings, "alignment_heads", None) or ())

    @property
    def sampling_rate(self) -> int:
        """The rate that waveforms are decoded to, in hertz."""
        return int(self._extractor.sampling_rate)

    @property
    def window_s(self) -> float:
        """The longest window, in seconds."""
        return float(self._extractor.n_samples / self._extractor.sampling_rate)

    @property
    def shortest(self) -> int:
        """The samples of one position of the encoder."""
        return int(FRAMES_PER_POSITION * self._extractor.hop_length)

    def check(self, options: Mapping[str, Any]) -> None:
        """Refuse options that this model cannot follow.

        Raises:
            OptionError: it does not know the language, or cannot translate.
            NotSupportedError: it cannot time words.
        """
        self._language(options["language"])
        if options["task"] == "translate" and not self._languages:
            raise OptionError("task='translate': this model knows English alone")
        if options.get("words") and not self._alignment:
            raise NotSupportedError(
                "this Whisper checkpoint cannot time words: its generation_config.json names no"
                " alignment_heads. Leave words_col out; return='chunks' has times too"
            )

    def _language(self, given: str) -> str | None:
        """Return the code of a language given by code or English name; None for `auto`."""
        asked = given.casefold()
        if asked == "auto":
            return None
        code = TO_LANGUAGE_CODE.get(asked, asked)
        known = list(self._languages.values()) or ["en"]
        if code in known:
            return code
        names = ["auto", *known, *(LANGUAGES[each] for each in known if each in LANGUAGES)]
        takes = " It takes 'auto', a code such as 'en', or an English name."
        only = " This model knows English alone: it takes 'en' or 'auto'."
        raise OptionError(
            f"language={given!r} is not among the model's languages.{nearest(given, names)}"
            f"{takes if self._languages else only}"
        )

    def prepare(self, precision: str) -> None:
        """Bring the weights to the device, in the type of a precision."""
        with self._preparing:
            if precision in self._models:
                return
            self._loaded.to(self._device)
            full = precision == "full"
            self._models[precision] = self._loaded if full else weights_at(precision, self._loaded)

    def cut(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[Spoken]:
        """Yield the windows of a file that hold any sound."""
        opening = None
        longest = int(self._extractor.n_samples)
        for first, samples in cut_at_quiet(blocks, longest, self.sampling_rate):
            if is_soundless(samples):
                continue
            features = self._features(samples)
            opening = opening or Opening(features)
            frames = min(len(samples) // self._extractor.hop_length, features.shape[1])
            yield Spoken(features, first, len(samples), frames, opening)

    def _features(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        given = self._extractor(samples, sampling_rate=self.sampling_rate, return_tensors="np")
        return np.asarray(given["input_features"][0], dtype=np.float32)

    def width(self, window: Window) -> int:  # noqa: ARG002
        """Return the samples that the encoder hears: 30 s, however short the window."""
        return int(self._extractor.n_samples)

    def split(self, window: Window) -> Sequence[Spoken]:  # noqa: ARG002
        """Return nothing: half a window takes as much memory as a whole one."""
        return ()

    def forward(
        self,
        windows: Sequence[Any],
        width: int,  # noqa: ARG002
        precision: str,
        options: Mapping[str, Any],
    ) -> Sequence[Written]:
        """Write down windows that go through the model together; see `recogniser.Recogniser`."""
        with self._exact if precision == "full" else nullcontext():
            model = self._timed(precision) if options.get("words") else self._models[precision]
            return self._written(model, windows, options)

    def _timed(self, precision: str) -> WhisperForConditionalGeneration:
        with self._preparing:
            if precision not in self._watched:
                self._watched[precision] = self._alignment.watched(self._models[precision])
            return self._watched[precision]

    def _written(
        self,
        model: WhisperForConditionalGeneration,
        windows: Sequence[Spoken],
        options: Mapping[str, Any],
    ) -> Sequence[Written]:
        written = [Written() for _ in windows]
        seeks = dict.fromkeys(range(len(windows)), 0)
        while seeks:
            taken = list(seeks.items())
            given = [(windows[row], seek) for row, seek in taken]
            for (row, seek), tokens in zip(taken, self._pass(model, given, options), strict=True):
                del seeks[row]
                rest = self._read(tokens, windows[row].frames, seek, written[row])
                if rest is not None:
                    seeks[row] = rest
        return written

    def _pass(
        self,
        model: WhisperForConditionalGeneration,
        given: Sequence[tuple[Spoken, int]],
        options: Mapping[str, Any],
    ) -> list[_Tokens]:
        """Write down, once, what lies behind a place in each window, counted in frames."""
        chosen = _Chosen()
        wanted = bool(options.get("words"))
        with torch.inference_mode():
            encoded = _encoded(model, given)
            prompt = self._prompt(model, [window for window, _ in given], encoded, options)
            with self._alignment.gathered() as attention:
                labels = model.generate(
                    encoder_outputs=encoded,
                    generation_config=self._settings,
                    logits_processor=LogitsProcessorList([chosen]),
                    return_timestamps=True,
                    force_unique_generate_call=True,
                    **prompt,
                ).cpu()
        log_probs = torch.stack(chosen.log_probs, dim=1).cpu()
        start = labels.shape[1] - log_probs.shape[1]
        rows = []
        for row, (window, seek) in enumerate(given):
            ids = self._until_end(labels[row, start:].tolist())
            times = None
            if wanted:
                positions = max((window.frames - seek) // FRAMES_PER_POSITION, 1)
                looked = torch.cat([layer[row] for layer in attention])
                looked = looked[:, start : start + len(ids) - 1, :positions]
                times = token_ends(looked, model.config.median_filter_width)
            rows.append(_Tokens(ids, log_probs[row, : len(ids)].tolist(), times))
        return rows

    def _prompt(
        self,
        model: WhisperForConditionalGeneration,
        windows: Sequence[Spoken],
        encoded: BaseModelOutput,
        options: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Return what `generate` is told of language and task: each window its file's language."""
        if not self._languages:
            return {}
        language = self._language(options["language"])
        if language is None:
            self._listen(model, windows, encoded)
        codes = [language or window.opening.language for window in windows]
        return {"language": codes, "task": options["task"]}

    def _listen(
        self,
        model: WhisperForConditionalGeneration,
        windows: Sequence[Spoken],
        encoded: BaseModelOutput,
    ) -> None:
        """Hear the languages of files whose language is not known yet, each in its opening."""
        unknown = {id(each.opening): each.opening for each in windows if not each.opening.language}
        if not unknown:
            return
        heard = encoded.last_hidden_state
        assert heard is not None
        rows = {id(each.opening): row for row, each in enumerate(windows) if _opens(each)}
        hidden = []
        for key, opening in unknown.items():
            if key in rows:
                hidden.append(heard[rows[key]])
            else:  # its opening is in another batch
                state = _encode(model, opening.features[None]).last_hidden_state
                assert state is not None
                hidden.append(state[0])
        labels = model.detect_language(
            encoder_outputs=BaseModelOutput(torch.stack(hidden)),
            generation_config=self._settings,
        )
        for opening, label in zip(unknown.values(), labels.tolist(), strict=True):
            opening.language = self._languages[label]

    def _until_end(self, ids: list[int]) -> list[int]:
        end = self._settings.eos_token_id
        return ids[: ids.index(end) + 1] if end in ids else ids

    def _read(self, tokens: _Tokens, frames: int, seek: int, written: Written) -> int | None:
        """Add what was written behind `seek`; return where to go on, in frames, or None."""
        ids = tokens.ids
        ended = ids[-1:] == [self._settings.eos_token_id]
        written.emitted += tokens.log_probs
        cuts, rest = segments(ids[:-1] if ended else ids, self._first_time, frames - seek)
        offset = seek // FRAMES_PER_POSITION * POSITION_S
        for each in cuts:
            kept = [i for i in range(each.first, each.end) if self._is_text(ids[i])]
            if kept:
                written.said.append(
                    Said(
                        tuple(ids[i] for i in kept),
                        tuple(tokens.log_probs[i] for i in kept),
                        offset + each.start * POSITION_S,
                        offset + each.stop * POSITION_S,
                        tokens.times_of(kept, offset),
                    )
                )
        if rest is None or rest <= 0:
            return None
        going_on = seek + rest * FRAMES_PER_POSITION
        return going_on if going_on < frames else None

    def _is_text(self, label: int) -> bool:
        return label < self._first_time and label not in self._special

    def join(
        self,
        pieces: Sequence[tuple[Any, Written]],
        seconds: float,
        options: Mapping[str, Any],
    ) -> Prediction:
        """Return what the windows of a file say; see `models.recogniser.Recogniser`.

        Raises:
            MediaError: none of its windows holds any sound, or the model's answer is no number.
        """
        if not pieces:
            raise MediaError("silent: nothing in it is loud enough to hear", MediaReason.SILENT)
        language = self._spoken(pieces[0][0], options) if options.get("words") else None
        return self._writer.prediction(pieces, seconds, language)

    def _spoken(self, window: Spoken, options: Mapping[str, Any]) -> str:
        """Return the language of the text: what is spoken, or what it is translated to."""
        if options["task"] == "translate":
            return "en"
        return self._language(options["language"]) or window.opening.language or "en"


class WhisperModel:
    """A Whisper model on a device; see `models.base.Model`."""

    def __init__(
        self,
        recogniser: WhisperRecogniser,
        device: str,
        precision: Callable[[Mapping[str, Any], str], str],
    ) -> None:
        """`precision` is the family's, which tells the precision of options on a device."""
        self._recogniser = recogniser
        self._pipeline = Pipeline(recogniser, device)
        self._device = device
        self._precision = precision

    def predict(
        self, inputs: Sequence[Media], options: Mapping[str, Any], watch: Watch
    ) -> Generator[tuple[int, Outcome]]:
        """Transcribe or translate media; see `models.base.Model`.

        Raises:
            OptionError: the model does not know the language, or cannot translate.
            NotSupportedError: it cannot time words.
        """
        self._recogniser.check(options)
        precision = self._precision(options, self._device)
        yield from self._pipeline.run(inputs, options, precision, watch)


@dataclass(frozen=True, slots=True)
class _Tokens:
    """What came out of one pass over one window; `ends` are the tokens' ends in seconds."""

    ids: list[int]
    log_probs: list[float]
    ends: list[float] | None

    def times_of(self, kept: Sequence[int], offset_s: float) -> tuple[float, ...] | None:
        """Return the start of the first of some tokens, and the ends of all of them."""
        if self.ends is None:
            return None
        start = self.ends[kept[0] - 1] if kept[0] else 0.0
        return (offset_s + start, *(offset_s + self.ends[i] for i in kept))


class _Chosen(LogitsProcessor):
    """Keeps the log-probability of each label that greedy decoding takes; changes nothing."""

    def __init__(self) -> None:
        self.log_probs: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        self.log_probs.append(scores.float().log_softmax(dim=-1).amax(dim=-1))
        return scores


def _encoded(
    model: WhisperForConditionalGeneration, given: Sequence[tuple[Spoken, int]]
) -> BaseModelOutput:
    """Hear windows from a place in each, in frames; what is missing behind is zero."""
    features = np.zeros((len(given), *given[0][0].features.shape), np.float32)
    for row, (window, seek) in enumerate(given):
        features[row, :, : features.shape[2] - seek] = window.features[:, seek:]
    return _encode(model, features)


def _encode(
    model: WhisperForConditionalGeneration, features: NDArray[np.float32]
) -> BaseModelOutput:
    tensor = torch.from_numpy(features).to(model.device, model.dtype)
    with torch.inference_mode():
        encoded: BaseModelOutput = model.model.encoder(tensor)
    return encoded


def _opens(window: Spoken) -> bool:
    return window.features is window.opening.features


def _greedy(given: GenerationConfig | None) -> Any:
    """Return generation settings without chance, beams, or a second try at what is doubtful."""
    settings: Any = copy.deepcopy(given)
    settings.update(
        do_sample=False,
        num_beams=1,
        temperature=None,
        return_dict_in_generate=False,
        compression_ratio_threshold=None,
        logprob_threshold=None,
        no_speech_threshold=None,
        condition_on_prev_tokens=False,
    )
    return settings
