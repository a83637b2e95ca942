"""The CTC loop learns, repeats itself, refuses the impossible, stops, and restores the model."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

from thanosql_dbapi.journal import Step
from thanosql_dbapi.models.training import utterances as training
from thanosql_dbapi.models.training.loop import train
from thanosql_dbapi.models.training.settings import TrainingSettings

RATE = 16000
# Three sounds, so that three labels can be told apart.
PITCHES = {1: 300.0, 2: 900.0, 3: 2500.0}
NONE: frozenset[str] = frozenset()
NORMS = pytest.mark.parametrize("norm", ["layer", "group"])


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def tiny_model(norm: str = "layer", dropout: float = 0.1) -> Wav2Vec2ForCTC:
    torch.manual_seed(0)
    config = Wav2Vec2Config(
        vocab_size=6,
        pad_token_id=0,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        conv_dim=(32, 32),
        conv_kernel=(400, 4),
        conv_stride=(160, 2),
        feat_extract_norm=norm,
        do_stable_layer_norm=norm == "layer",
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        layerdrop=0.0,
        hidden_dropout=dropout,
        attention_dropout=0.0,
        activation_dropout=0.0,
        feat_proj_dropout=0.0,
        final_dropout=0.0,
    )
    model = Wav2Vec2ForCTC(config)
    model.train(False)
    return model


def utterances(count: int = 12) -> tuple[list[training.Waveform], list[list[int]]]:
    """Return tones of a quarter of a second each, and which they are."""
    rng = np.random.default_rng(0)
    waveforms, labels = [], []
    for _ in range(count):
        label = [int(each) for each in rng.integers(1, 4, rng.integers(1, 4))]
        times = np.arange(RATE // 4) / RATE
        tones = [np.sin(2 * np.pi * PITCHES[each] * times) for each in label]
        waveforms.append(np.concatenate(tones).astype(np.float32))
        labels.append(label)
    return waveforms, labels


def weights(model: Wav2Vec2ForCTC) -> list[NDArray[np.float32]]:
    return [parameter.detach().numpy().copy() for parameter in model.parameters()]


@NORMS
def test_loss_falls_on_few_utterances(norm: str) -> None:
    settings = TrainingSettings(
        batch_size=4,
        max_epochs=12,
        learning_rate=5e-3,
        augmentation=NONE,
        shorter_first=True,
    )
    summary = train(tiny_model(norm), *utterances(), settings)
    assert summary.epoch_losses[-1] < summary.epoch_losses[0] / 2
    assert summary.steps == 36
    assert summary.epochs == len(summary.epoch_losses) == 12


@NORMS
def test_a_seed_gives_the_same_weights_with_augmentation(norm: str) -> None:
    trained: list[list[NDArray[np.float32]]] = []
    for seed in (1, 1, 2):
        model = tiny_model(norm)
        torch.manual_seed(len(trained))  # the caller's state must not matter
        train(model, *utterances(), TrainingSettings(max_epochs=1, batch_size=4, seed=seed))
        trained.append(weights(model))
    same = [np.array_equal(one, two) for one, two in zip(trained[0], trained[1], strict=True)]
    other = [np.array_equal(one, two) for one, two in zip(trained[0], trained[2], strict=True)]
    assert all(same)
    assert not all(other)


def test_the_callers_random_state_stays() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(tiny_model_with_state_kept(), *utterances(4), TrainingSettings(max_epochs=1))
    assert torch.equal(torch.rand(3), expected)


def tiny_model_with_state_kept() -> Wav2Vec2ForCTC:
    with torch.random.fork_rng():
        return tiny_model()


def test_each_step_is_reported() -> None:
    steps: list[Step] = []
    settings = TrainingSettings(batch_size=4, max_epochs=2, augmentation=NONE)
    waveforms, labels = utterances()
    summary = train(tiny_model(), waveforms, labels, settings, report=steps.append)
    assert [step.step for step in steps] == [1, 2, 3, 4, 5, 6]
    assert [step.epoch for step in steps] == pytest.approx([1 / 3, 2 / 3, 1, 4 / 3, 5 / 3, 2])
    assert {(step.steps, step.epochs) for step in steps} == {(6, 2)}
    seconds = 2 * sum(len(waveform) for waveform in waveforms) / RATE
    assert steps[-1].audio_seconds == summary.audio_seconds == pytest.approx(seconds)
    assert all(step.loss > 0 and 0 < step.learning_rate <= 1e-4 for step in steps)


def test_report_can_stop_it_and_the_model_is_left_in_order() -> None:
    model = tiny_model()

    def stop(step: Step) -> None:
        if step.step == 2:
            raise KeyboardInterrupt

    settings = TrainingSettings(batch_size=4, freeze_feature_encoder=True)
    with pytest.raises(KeyboardInterrupt):
        train(model, *utterances(), settings, report=stop)
    assert not model.training
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_frozen_feature_encoder_stays_as_it_was() -> None:
    model = tiny_model()
    before = [each.detach().clone() for each in model.wav2vec2.feature_extractor.parameters()]
    head = model.lm_head.weight.detach().clone()
    train(model, *utterances(4), TrainingSettings(max_epochs=1, freeze_feature_encoder=True))
    after = model.wav2vec2.feature_extractor.parameters()
    assert all(torch.equal(one, two) for one, two in zip(before, after, strict=True))
    assert not torch.equal(model.lm_head.weight, head)


@pytest.mark.parametrize(
    ("label", "seconds", "words"),
    [
        ([1, 2, 3] * 20, 0.5, "too short for its labels"),
        # Without the two blanks between equal labels it would just fit its four frames.
        ([1, 1, 1], 0.13, "4 frames, its 3 labels need 5"),
        ([1], 0.01, "it has 0 frames"),
        ([], 1.0, "no labels"),
        ([1, 6], 1.0, "outside the model's 0 to 5"),
    ],
)
def test_what_cannot_be_learnt_is_named_before_training(
    label: list[int], seconds: float, words: str
) -> None:
    waveforms, labels = utterances(5)
    waveforms[3], labels[3] = waveforms[3][: int(seconds * RATE)], label
    if seconds > 0.5:
        waveforms[3] = np.ones(int(seconds * RATE), dtype=np.float32)
    steps: list[Step] = []
    with pytest.raises(ValueError, match="utterance 3 ") as caught:
        train(tiny_model(), waveforms, labels, report=steps.append)
    assert words in str(caught.value)
    assert not steps


def test_no_speed_makes_labels_impossible() -> None:
    # As many labels as frames: any faster and the loss would be infinite.
    waveform = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    label = [1 + index % 3 for index in range(48)]
    summary = train(tiny_model(), [waveform] * 8, [label] * 8, TrainingSettings(max_epochs=3))
    assert np.isfinite(summary.epoch_losses).all()


def test_a_loss_that_is_not_finite_is_an_error() -> None:
    model = tiny_model()
    with torch.no_grad():
        model.lm_head.weight.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="step 1 .* lower the learning_rate"):
        train(model, *utterances(4))


def test_counts_must_match_and_there_must_be_something() -> None:
    waveforms, labels = utterances(3)
    with pytest.raises(ValueError, match="3 waveforms but 2"):
        train(tiny_model(), waveforms, labels[:2])
    with pytest.raises(ValueError, match="nothing to train on"):
        train(tiny_model(), [], [])


def test_batches_by_seconds_hold_no_more() -> None:
    waveforms, labels = utterances(30)
    steps: list[Step] = []
    settings = TrainingSettings(max_epochs=1, batch_seconds=2.0, augmentation=NONE)
    train(tiny_model(), waveforms, labels, settings, report=steps.append)
    before = 0.0
    for step in steps:
        assert step.audio_seconds - before <= 2.0
        before = step.audio_seconds
    assert len(steps) > 5


@NORMS
def test_a_batch_gives_the_loss_of_its_utterances_alone(norm: str) -> None:
    waveforms, labels = utterances(4)

    def first_loss(batch_size: int, index: slice) -> float:
        losses: list[float] = []
        settings = TrainingSettings(batch_size=batch_size, max_epochs=1, augmentation=NONE)
        model = tiny_model(norm, dropout=0.0)

        def keep(step: Step) -> None:
            losses.append(step.loss)

        train(model, waveforms[index], labels[index], settings, report=keep)
        return losses[0]

    alone = [first_loss(1, slice(index, index + 1)) for index in range(4)]
    assert first_loss(4, slice(None)) == pytest.approx(np.mean(alone), rel=1e-3)
