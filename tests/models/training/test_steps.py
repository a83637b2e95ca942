"""A step's gradients do not depend on how it is split, and memory that lacks is made do without."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

from thanosql_dbapi.journal import Step
from thanosql_dbapi.models import threads
from thanosql_dbapi.models.training import lanes, steps, utterances
from thanosql_dbapi.models.training.checkpoints import Checkpoints
from thanosql_dbapi.models.training.draws import OwnDraws
from thanosql_dbapi.models.training.loop import TrainingSummary, UtteranceTooLong, train
from thanosql_dbapi.models.training.settings import TrainingSettings

RATE = 16000
NONE: frozenset[str] = frozenset()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def new_model(**changes: Any) -> Wav2Vec2ForCTC:
    config: dict[str, Any] = {
        "vocab_size": 6,
        "pad_token_id": 0,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "conv_dim": (16, 16),
        "conv_kernel": (400, 4),
        "conv_stride": (160, 2),
        "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 4,
        "layerdrop": 0.0,
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Wav2Vec2ForCTC(Wav2Vec2Config(**(config | changes)))


STILL = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0}
STILL |= {"feat_proj_dropout": 0.0, "final_dropout": 0.0}


def speech(count: int = 8) -> tuple[list[Any], list[list[int]]]:
    rng = np.random.default_rng(0)
    lengths = rng.integers(RATE // 4, RATE, count)
    waveforms = [rng.standard_normal(length).astype(np.float32) for length in lengths]
    return waveforms, [rng.integers(1, 6, rng.integers(1, 4)).tolist() for _ in lengths]


def gradients(
    monkeypatch: pytest.MonkeyPatch, cores: int, micro_s: float, **changes: Any
) -> tuple[float, list[torch.Tensor]]:
    """Return the loss and the clipped gradients of one step over 8 utterances."""
    monkeypatch.setattr(threads, "available", lambda: cores)
    monkeypatch.setattr(steps, "_MICRO_S", {True: micro_s})
    model = new_model(**changes)
    found: list[torch.Tensor] = []
    losses: list[float] = []

    def keep(optimiser: Any, step: int) -> None:
        found.extend(each.grad.clone() for each in model.parameters() if each.grad is not None)

    monkeypatch.setattr("thanosql_dbapi.models.training.optimiser.Optimiser.step", keep)
    settings = TrainingSettings(batch_size=8, max_epochs=1, augmentation=NONE)
    train(model, *speech(), settings, report=lambda step: losses.append(step.loss))
    return losses[0], found


@pytest.mark.parametrize(("cores", "micro_s"), [(1, 1.2), (1, 3.0), (2, 0.1), (3, 1.2), (2, 99.0)])
@pytest.mark.parametrize("norm", ["layer", "group"])
def test_lanes_and_micro_batches_change_no_gradient(
    monkeypatch: pytest.MonkeyPatch, cores: int, micro_s: float, norm: str
) -> None:
    changes = STILL | {"feat_extract_norm": norm, "do_stable_layer_norm": norm == "layer"}
    whole, expected = gradients(monkeypatch, 1, 99.0, **changes)
    loss, found = gradients(monkeypatch, cores, micro_s, **changes)
    assert loss == pytest.approx(whole, rel=1e-5)
    assert len(found) == len(expected) > 20
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-5, rtol=1e-3)


def test_lanes_draw_the_same_whoever_is_quicker(monkeypatch: pytest.MonkeyPatch) -> None:
    changes = {"layerdrop": 0.3}
    (_, first), *others = (gradients(monkeypatch, 3, 0.1, **changes) for _ in range(3))
    for _, other in others:
        assert all(torch.equal(one, two) for one, two in zip(first, other, strict=True))


def test_own_draws_are_those_of_the_seed_alone() -> None:
    ones = torch.ones(4, 2, 300)

    def drawn(seed: int) -> torch.Tensor:
        torch.rand(3)
        with OwnDraws(seed):
            return torch.nn.functional.dropout(ones, 0.25) + torch.rand([])

    state = torch.random.get_rng_state()
    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))
    torch.random.set_rng_state(state)
    with OwnDraws(3):
        kept = torch.nn.functional.dropout(ones, 0.25)
        assert torch.equal(torch.nn.functional.dropout(ones, 0.25, training=False), ones)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert kept.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert float((kept == 0).float().mean()) == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("masked", [None, "bool", "float"])
def test_attention_with_dropout_is_attention(masked: str | None) -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 4, 7, 8)
    mask = None if masked is None else torch.rand(2, 1, 7, 7) > 0.3
    if masked == "float" and mask is not None:
        mask = torch.zeros(2, 1, 7, 7).masked_fill(~mask, -1e9)
    attend = torch.nn.functional.scaled_dot_product_attention
    expected = attend(query, key, value, attn_mask=mask)
    with OwnDraws(0):
        assert torch.equal(attend(query, key, value, attn_mask=mask), expected)
        nearly = attend(query, key, value, attn_mask=mask, dropout_p=1e-12)
    assert torch.allclose(nearly, expected, atol=1e-5)


class Memory:
    """Has room for so many padded samples in a forward pass, in all lanes together."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int, error: Exception) -> None:
        self.room = room
        self.error = error
        self.passed: list[int] = []
        self._real: Callable[..., torch.Tensor] = utterances.logits_of
        monkeypatch.setattr(utterances, "logits_of", self)

    def __call__(self, model: Any, rows: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
        if rows.numel() > self.room:
            raise self.error
        self.passed.append(len(rows))
        return self._real(model, rows, lengths)


ERRORS = pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)


@ERRORS
@pytest.mark.parametrize("cores", [1, 2])
def test_memory_that_lacks_halves_the_micro_batch_and_not_the_step(
    monkeypatch: pytest.MonkeyPatch, error: Exception, cores: int
) -> None:
    def run() -> tuple[TrainingSummary, list[float]]:
        losses: list[float] = []
        settings = TrainingSettings(batch_size=8, max_epochs=2, augmentation=NONE)
        model = new_model(**STILL)
        report = lambda step: losses.append(step.loss)  # noqa: E731
        return train(model, *speech(), settings, report=report), losses

    monkeypatch.setattr(threads, "available", lambda: cores)
    monkeypatch.setattr(steps, "_MICRO_S", {True: 99.0})
    ample, expected = run()
    memory = Memory(monkeypatch, 2 * RATE, error)
    scarce, losses = run()
    assert scarce.steps == ample.steps == 2
    assert scarce.micro_batch_seconds <= 2 < ample.micro_batch_seconds
    assert losses == pytest.approx(expected, rel=1e-4)
    assert max(memory.passed) > 1


@pytest.mark.parametrize("cores", [1, 4])
def test_an_utterance_that_does_not_fit_alone_is_named(
    monkeypatch: pytest.MonkeyPatch, cores: int
) -> None:
    monkeypatch.setattr(threads, "available", lambda: cores)
    waveforms, labels = speech()
    waveforms[5] = np.ones(3 * RATE, dtype=np.float32)
    Memory(monkeypatch, 2 * RATE, torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(
        UtteranceTooLong, match=r"utterance 5 lasts 3.0 s.*max_duration_s"
    ) as caught:
        train(new_model(), waveforms, labels, TrainingSettings(augmentation=NONE))
    assert caught.value.index == 5


def test_other_errors_are_no_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "available", lambda: 2)
    Memory(monkeypatch, 0, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="mat1"):
        train(new_model(), *speech())


def test_half_precision_trains_about_the_same() -> None:
    def loss(precision: str) -> float:
        settings = TrainingSettings(precision=precision, max_epochs=2, batch_size=4)
        return train(new_model(**STILL), *speech(), settings).epoch_losses[-1]

    assert loss("half") == pytest.approx(loss("full"), rel=0.02)


def test_gradient_checkpointing_changes_no_weights_and_is_switched_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # It has one lane, and two lanes add in another order.
    monkeypatch.setattr("thanosql_dbapi.models.threads.available", lambda: 1)

    def weights(*, recompute: bool) -> list[torch.Tensor]:
        model = new_model(layerdrop=0.2)
        settings = TrainingSettings(max_epochs=2, batch_size=4, gradient_checkpointing=recompute)
        train(model, *speech(), settings)
        assert not any(getattr(each, "gradient_checkpointing", False) for each in model.modules())
        return list(model.parameters())

    pairs = zip(weights(recompute=True), weights(recompute=False), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_deal_gives_each_lane_about_the_same() -> None:
    dealt = lanes.deal([9, 1, 5, 4, 1, 7, 2, 3], 3)
    assert sorted(piece for each in dealt for piece in each) == list(range(8))
    costs = [sum([9, 1, 5, 4, 1, 7, 2, 3][piece] for piece in each) for each in dealt]
    assert max(costs) - min(costs) <= 1
    assert lanes.deal([5], 4) == [[0]]


# Best weights and measurements


def measured_run(
    wers: Sequence[float], tmp_path: Path | None = None, **changes: Any
) -> tuple[TrainingSummary, list[int], Wav2Vec2ForCTC, dict[int, torch.Tensor]]:
    """Train 40 steps, of which each 20th is measured, or as `changes` has it."""
    model = new_model(**STILL)
    told: list[int] = []
    heads: dict[int, torch.Tensor] = {}
    figures = iter(wers)

    def wer(model: Wav2Vec2ForCTC) -> float:
        heads[len(heads) + 1] = model.lm_head.weight.detach().clone()
        return next(figures)

    options: dict[str, Any] = {"batch_size": 2, "max_epochs": 20, "learning_rate": 3e-3}
    summary = train(
        model,
        *speech(),
        TrainingSettings(**(options | changes)),
        validate=wer,
        measured=lambda step, wer: told.append(step),
        checkpoints=tmp_path,
    )
    return summary, told, model, heads


def test_the_best_weights_are_what_is_left(tmp_path: Path) -> None:
    summary, told, model, heads = measured_run([0.9, 0.2, 0.5, 0.4], tmp_path)
    assert told == [20, 40, 60, 80]
    assert (summary.best_step, summary.best_wer, summary.steps) == (40, 0.2, 80)
    assert torch.equal(model.lm_head.weight, heads[2])
    assert not torch.equal(model.lm_head.weight, heads[4])


def test_of_equal_wers_the_later_with_the_lower_loss_is_best() -> None:
    summary, _, model, heads = measured_run([1.0, 1.0, 1.0, 1.0])
    assert summary.best_step > 20
    assert torch.equal(model.lm_head.weight, heads[summary.best_step // 20])


def test_it_stops_when_it_gets_no_better() -> None:
    summary, told, *_ = measured_run([0.5, 0.5, 0.6], early_stopping=2)
    assert told == [20, 40, 60]
    assert summary.stopped_early
    assert summary.steps == 60


def test_a_stop_keeps_the_checkpoint_and_what_is_over_is_not_done_again(tmp_path: Path) -> None:
    seen: list[int] = []

    def report(step: Step) -> None:
        seen.append(step.step)
        if step.step == 3:
            raise KeyboardInterrupt

    def go_on(*, resume: bool = True, changed: int = 0) -> TrainingSummary:
        settings = TrainingSettings(batch_size=2, max_epochs=2, seed=changed)
        return train(
            new_model(), *speech(), settings, report=report, checkpoints=tmp_path, resume=resume
        )

    with pytest.raises(KeyboardInterrupt):
        go_on()
    assert go_on().resumed_from == 3
    assert seen == [1, 2, 3, 4, 5, 6, 7, 8]
    assert go_on().resumed_from == 8
    assert len(seen) == 8
    with pytest.raises(KeyboardInterrupt):
        go_on(resume=False)
    assert seen[8:] == [1, 2, 3]
    # Another training than the checkpoint is of: it starts anew.
    with pytest.raises(KeyboardInterrupt):
        go_on(changed=1)


def test_check_is_asked_before_each_step() -> None:
    asked = []

    def check() -> None:
        asked.append(1)
        if len(asked) == 4:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train(new_model(), *speech(), TrainingSettings(batch_size=2), check=check)


@pytest.mark.parametrize("damage", ["cut", "flip", "facts", "gone"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, damage: str) -> None:
    checkpoints = Checkpoints(tmp_path)
    for number in (1, 2, 3):
        tensors = {"w": torch.full((1000,), float(number))}
        checkpoints.save({"weights": tensors}, frozenset(), {"step": number})
    newest = max(tmp_path.iterdir())
    file = newest / ("checkpoint.json" if damage == "facts" else "weights.safetensors")
    content = bytearray(file.read_bytes())
    if damage == "gone":
        file.unlink()
    else:
        content[len(content) // 2] ^= 1
        file.write_bytes(content[: len(content) // 2] if damage == "cut" else content)
    again = Checkpoints(tmp_path)
    found = again.load()
    assert found is not None
    assert found.facts == {"step": 2}
    assert found.groups["weights"]["w"][0] == 2.0
    assert len(again.damaged) == 1
    assert newest.name in again.damaged[0]


def test_damage_everywhere_starts_anew_and_says_so(tmp_path: Path) -> None:
    def run() -> TrainingSummary:
        return train(new_model(), *speech(), TrainingSettings(max_steps=3), checkpoints=tmp_path)

    run()
    for file in tmp_path.rglob("*.safetensors"):
        file.write_bytes(b"")
    summary = run()
    assert summary.resumed_from == 0
    assert summary.steps == 3
    assert summary.damaged


def test_a_group_that_is_the_same_is_not_written_again(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    groups = {"best": {"w": torch.ones(3)}, "weights": {"w": torch.zeros(3)}}
    checkpoints.save(groups, frozenset(), {})
    checkpoints.save(groups, frozenset({"best"}), {})
    one, other = sorted(tmp_path.iterdir())
    assert (one / "best.safetensors").samefile(other / "best.safetensors")
    assert not (one / "weights.safetensors").samefile(other / "weights.safetensors")
