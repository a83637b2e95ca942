"""Two processes train as one does, tell how far they are, and what they kept is gone on from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

pytest.importorskip("accelerate")

from thanosql_dbapi.journal import Step
from thanosql_dbapi.models import threads
from thanosql_dbapi.models.training.launch import WorkerDied, train_in_processes
from thanosql_dbapi.models.training.loop import train
from thanosql_dbapi.models.training.settings import TrainingSettings

RATE = 16000
SETTINGS = TrainingSettings(batch_size=4, max_epochs=12, learning_rate=3e-3)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr(threads, "available", lambda: 1)
    yield
    torch.set_num_threads(before)


def new_model() -> Wav2Vec2ForCTC:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Wav2Vec2ForCTC(
            Wav2Vec2Config(
                vocab_size=6,
                pad_token_id=0,
                hidden_size=16,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=32,
                conv_dim=(16, 16),
                conv_kernel=(400, 4),
                conv_stride=(160, 2),
                num_conv_pos_embeddings=16,
                num_conv_pos_embedding_groups=4,
                layerdrop=0.3,
            )
        )


def speech(count: int = 9) -> tuple[list[Any], list[list[int]]]:
    rng = np.random.default_rng(0)
    lengths = rng.integers(RATE // 2, 4 * RATE, count)
    waveforms = [rng.standard_normal(length).astype(np.float32) for length in lengths]
    return waveforms, [rng.integers(1, 6, rng.integers(1, 5)).tolist() for _ in lengths]


def test_two_processes_train_as_one_and_go_on(tmp_path: Path) -> None:
    def wer(model: Wav2Vec2ForCTC) -> float:
        return float(model.lm_head.bias.detach().abs().sum())

    alone = new_model()
    steps: list[Step] = []
    told: list[tuple[int, float]] = []
    train(
        alone,
        *speech(),
        SETTINGS,
        report=steps.append,
        validate=wer,
        measured=lambda step, wer: told.append((step, wer)),
    )

    together = new_model()
    seen: list[Step] = []
    figures: list[tuple[int, float]] = []
    resumed: list[int] = []

    def stop(step: Step) -> None:
        seen.append(step)
        if step.step == 25:
            assert list(tmp_path.glob("thanosql-train-*"))
            raise KeyboardInterrupt

    def run(report: Any) -> Any:
        return train_in_processes(
            2,
            together,
            *speech(),
            SETTINGS,
            report=report,
            validate=wer,
            measured=lambda step, wer: figures.append((step, wer)),
            checkpoints=tmp_path,
            resumed=resumed.append,
        )

    with pytest.raises(KeyboardInterrupt):
        run(stop)
    assert any(tmp_path.iterdir())
    (tmp_path / "thanosql-train-killed").mkdir()
    summary = run(seen.append)
    assert not list(tmp_path.glob("thanosql-train-*"))
    assert resumed == [summary.resumed_from]
    assert summary.resumed_from >= 21
    assert summary.steps == 36
    # What the processes did after the stop was not told, and is not done again.
    losses = {step.step: step.loss for step in seen}
    assert len(losses) > 28
    for step in steps:
        assert losses.get(step.step, step.loss) == pytest.approx(step.loss, rel=1e-3)
    assert [step for step, _ in figures] == [step for step, _ in told]
    for one, other in zip(alone.parameters(), together.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-3)


def test_a_process_that_dies_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "writing").touch()  # in the way of the first checkpoint
    with pytest.raises(WorkerDied, match="FileExistsError"):
        train_in_processes(2, new_model(), *speech(), SETTINGS, checkpoints=tmp_path)


def test_a_training_that_diverges_says_where() -> None:
    broken = new_model()
    with torch.no_grad():
        broken.lm_head.weight.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match=r"at step 1 .*learning_rate"):
        train_in_processes(2, broken, *speech(), SETTINGS)
