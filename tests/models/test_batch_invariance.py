"""A file's logits are the same in any batch, and those of transformers for that file alone."""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from speech_fixtures import make_checkpoint
from transformers import Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC

from thanosql_dbapi.assets import VOICE_TINY
from thanosql_dbapi.media.audio import decode_audio
from thanosql_dbapi.media.sources import media_of
from thanosql_dbapi.models.frames import frames_of, samples_for
from thanosql_dbapi.models.logits import logits_of, pad
from thanosql_dbapi.models.speech import CTCModel
from thanosql_dbapi.models.wav2vec2 import ENGLISH
from thanosql_dbapi.registry import Version

RATE = 16000
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Variant:
    """A kind of checkpoint: how it is built, and what its settings say."""

    norm: str
    stable: bool = False
    adapter: str | None = None
    attention: str = "sdpa"
    normalise: bool = True
    claims_mask: bool = False
    padding_side: str = "right"
    conv_bias: bool = False
    position_kernel: int = 16

    def __str__(self) -> str:
        shape = f"{self.norm}-{'stable' if self.stable else 'post'}-{self.adapter}"
        return f"{shape}-{self.attention}-{self.normalise:d}{self.claims_mask:d}{self.conv_bias:d}"

    @property
    def config(self) -> dict[str, object]:
        config: dict[str, object] = {
            "do_stable_layer_norm": self.stable,
            "conv_bias": self.conv_bias,
            "conv_kernel": (10, 3, 3, 2),
            "conv_stride": (5, 4, 4, 2),
            "conv_dim": (32, 32, 32, 32),
            "num_feat_extract_layers": 4,
            "num_conv_pos_embeddings": self.position_kernel,
        }
        if self.adapter == "attention":
            config["adapter_attn_dim"] = 8
        elif self.adapter:
            kernel, width = map(int, self.adapter.split("x"))
            config |= {
                "add_adapter": True,
                "num_adapter_layers": 2,
                "adapter_kernel_size": kernel,
                "output_hidden_size": width,
            }
        return config


VARIANTS = [
    Variant("group"),  # facebook/wav2vec2-base-960h
    Variant("group", claims_mask=True, attention="eager", conv_bias=True),
    Variant("group", stable=True, normalise=False, position_kernel=15),
    Variant("group", stable=True, adapter="attention", claims_mask=True),
    Variant("group", adapter="3x32", conv_bias=True),
    Variant("group", stable=True, adapter="5x48", attention="eager"),
    Variant("layer", stable=True, claims_mask=True, conv_bias=True),  # wav2vec2-large-lv60, -xlsr
    Variant("layer", stable=True, attention="eager", normalise=False),
    Variant("layer", position_kernel=15),
    Variant("layer", claims_mask=True, padding_side="left", attention="eager"),
    Variant("layer", stable=True, adapter="attention", claims_mask=True, conv_bias=True),  # MMS
    Variant("layer", stable=True, adapter="3x48", claims_mask=True, conv_bias=True),
    Variant("layer", adapter="5x32", normalise=False),
]
EACH_VARIANT = pytest.mark.parametrize("variant", VARIANTS, ids=str)
#: Whose padding transformers cannot be told of.
LEAKING = [each for each in VARIANTS if each.norm == "group" or "x" in (each.adapter or "")]


@dataclass(frozen=True)
class Subject:
    """A checkpoint loaded twice: by this package, and by transformers alone."""

    ours: CTCModel
    theirs: Wav2Vec2ForCTC
    extractor: Wav2Vec2FeatureExtractor

    def reference(self, waveform: NDArray[np.float32]) -> torch.Tensor:
        features = self.extractor(waveform, sampling_rate=RATE, return_tensors="pt")
        with torch.inference_mode():
            return self.theirs(**features).logits[0]


@pytest.fixture(scope="module")
def make_subject(tmp_path_factory: pytest.TempPathFactory):
    """Return what makes a variant's checkpoint and loads it, once."""
    folder = tmp_path_factory.mktemp("variants")

    @functools.cache
    def make(variant: Variant) -> Subject:
        checkpoint = folder / str(variant)
        make_checkpoint(
            checkpoint,
            group_norm=variant.norm == "group",
            letters="abcdefghijklm",
            **variant.config,
        )
        liven(checkpoint)
        extractor = Wav2Vec2FeatureExtractor(
            sampling_rate=RATE,
            do_normalize=variant.normalise,
            return_attention_mask=variant.claims_mask,
            padding_side=variant.padding_side,
        )
        extractor.save_pretrained(checkpoint)
        ours = ENGLISH.load(Version("m", 1, checkpoint, {}), "cpu")
        ours.recogniser._model.set_attn_implementation(variant.attention)
        theirs = Wav2Vec2ForCTC.from_pretrained(
            checkpoint, attn_implementation=variant.attention
        ).eval()
        return Subject(ours, theirs, extractor)

    return make


def liven(checkpoint: Path) -> None:
    """Draw weights that let each part of the model have its say, and save them.

    As transformers draws them, attention is flat, each norm has the scale 1, and one letter always
    wins.
    """
    model = Wav2Vec2ForCTC.from_pretrained(checkpoint)
    torch.manual_seed(1)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.Linear):
                torch.nn.init.normal_(module.weight, std=1.2 * module.in_features**-0.5)
            elif isinstance(module, torch.nn.LayerNorm | torch.nn.GroupNorm):
                torch.nn.init.normal_(module.weight, mean=1.0, std=0.3)
                torch.nn.init.normal_(module.bias, std=0.3)
        model.lm_head.weight.mul_(3)
        heard = torch.from_numpy(sound(RATE, seed=0))[None]
        model.lm_head.bias.sub_(model.eval()(heard).logits.mean((0, 1)))
    model.save_pretrained(checkpoint)


def sound(samples: int, seed: int) -> NDArray[np.float32]:
    """Return gliding tones over noise; loud or soft, and now and then with silence at an end."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / RATE
    pitch = 200 + 1500 * rng.random() * np.sin(time * (1 + 7 * rng.random())) ** 2
    waveform = np.sin(2 * np.pi * np.cumsum(pitch) / RATE) + 0.2 * rng.standard_normal(samples)
    waveform *= rng.choice([0.003, 0.1, 0.5])
    silent = int(samples * rng.choice([0.0, 0.0, 0.4]))
    if silent:
        waveform[-silent:] = 0
    return (waveform + rng.choice([0.0, 0.05])).astype(np.float32)


def lengths_for(model: Wav2Vec2ForCTC) -> st.SearchStrategy[int]:
    """Draw lengths from the shortest possible to a second and a half, many very short."""
    shortest = samples_for(model, 1)
    return st.one_of(
        st.integers(shortest, shortest + 400), st.integers(shortest, RATE), st.just(RATE * 3 // 2)
    )


def ties(logits: torch.Tensor) -> torch.Tensor:
    best, second = logits.topk(2, dim=-1).values.unbind(-1)
    return best - second <= TOLERANCE


def assert_same(logits: torch.Tensor, expected: torch.Tensor) -> None:
    assert logits.shape == expected.shape
    assert float((logits - expected).abs().max()) <= TOLERANCE
    same = logits.argmax(-1) == expected.argmax(-1)
    assert bool((same | ties(expected)).all())


@EACH_VARIANT
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_logits_are_those_of_the_file_alone(make_subject, variant: Variant, data) -> None:
    subject = make_subject(variant)
    lengths = data.draw(st.lists(lengths_for(subject.theirs), min_size=2, max_size=6))
    seeds = data.draw(st.lists(st.integers(0, 999), min_size=len(lengths), max_size=len(lengths)))
    order = data.draw(st.permutations(range(len(lengths))))
    batch_size = data.draw(st.integers(1, len(lengths)))
    files = [sound(*each) for each in zip(lengths, seeds, strict=True)]
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        together = subject.ours.logits([files[index] for index in batch])
        for index, logits in zip(batch, together, strict=True):
            (alone,) = subject.ours.logits([files[index]])
            assert_same(logits, alone)
            assert_same(logits, subject.reference(files[index]))


@EACH_VARIANT
def test_the_models_hear_what_they_are_told(make_subject, variant: Variant) -> None:
    """Else all would be equal, and the other tests say nothing."""
    subject = make_subject(variant)
    logits = subject.reference(sound(RATE, seed=1))
    assert logits.argmax(-1).unique().numel() >= 3
    assert 0.5 < float(logits.std()) < 20
    assert not ties(logits).any()


@pytest.mark.parametrize("variant", LEAKING, ids=str)
def test_transformers_own_batch_differs_even_with_a_mask(make_subject, variant: Variant) -> None:
    """What the tests here would see of a padded batch without our forward pass."""
    subject = make_subject(variant)
    # Four lengths: which frames an adapter's stride lets look past the end changes with them.
    files = [sound(RATE // 2 + 160 * extra, seed=1) for extra in range(4)] + [sound(RATE, seed=2)]
    lengths = torch.tensor([len(each) for each in files])
    rows = pad([subject.ours.recogniser.normalised(each) for each in files], RATE)
    mask = torch.arange(RATE)[None, :] < lengths[:, None]
    with torch.inference_mode():
        logits = subject.theirs(rows, attention_mask=mask.long()).logits
    expected = [subject.reference(each) for each in files]
    worst = max(
        float((row[: len(own)] - own).abs().max())
        for row, own in zip(logits, expected, strict=True)
    )
    assert worst > 100 * TOLERANCE


@EACH_VARIANT
def test_what_stands_in_the_padding_is_of_no_consequence(make_subject, variant: Variant) -> None:
    model = make_subject(variant).theirs
    lengths = [samples_for(model, 3), RATE // 2]
    rows = pad([sound(length, seed=3) for length in lengths], RATE)
    rubbish = rows.clone()
    for row, length in zip(rubbish, lengths, strict=True):
        row[length:] = 1e3
    with torch.inference_mode():
        clean, dirty = logits_of(model, rows, lengths), logits_of(model, rubbish, lengths)
    for one, other, length in zip(clean, dirty, lengths, strict=True):
        frames = frames_of(model, length)
        assert_same(other[:frames], one[:frames])


@EACH_VARIANT
def test_gradients_of_a_batch_are_the_sum_of_its_files(make_subject, variant: Variant) -> None:
    # In double precision: of a bias before a group norm the true gradient is 0, and the rest noise.
    model = copy.deepcopy(make_subject(variant).theirs).double()
    files = [sound(length, seed) for seed, length in enumerate((4000, 9000, 12345))]

    def gradients(batch: Sequence[NDArray[np.float32]], samples: int) -> list[torch.Tensor]:
        model.zero_grad()
        lengths = [len(each) for each in batch]
        logits = logits_of(model, pad(batch, samples).double(), lengths)
        kept = [
            row[: frames_of(model, length)] for row, length in zip(logits, lengths, strict=True)
        ]
        torch.cat(kept).log_softmax(-1).square().sum().backward()
        return [each.grad for each in model.parameters() if each.grad is not None]

    together = gradients(files, RATE)
    alone = zip(*(gradients([each], len(each)) for each in files), strict=True)
    assert len(together) > 20
    for gradient, parts in zip(together, alone, strict=True):
        torch.testing.assert_close(gradient, torch.stack(parts).sum(0), rtol=1e-6, atol=1e-7)


def test_recorded_digits_have_transformers_own_logits(speech_folder: Path) -> None:
    ours = ENGLISH.load(Version("voice_tiny", 1, VOICE_TINY, {}), "cpu")
    theirs = Wav2Vec2ForCTC.from_pretrained(VOICE_TINY, dtype=torch.float32).eval()
    extractor = Wav2Vec2FeatureExtractor.from_pretrained(VOICE_TINY)
    paths = sorted((speech_folder / "digits/test").iterdir())[:16]
    waveforms = [decode_audio(media_of(str(path), Path()), RATE) for path in paths]
    subject = Subject(ours, theirs, extractor)
    for waveform, logits in zip(waveforms, ours.logits(waveforms), strict=True):
        assert_same(logits, subject.reference(waveform))
