"""int8 on a CPU: linear layers whose weights and inputs are bytes.

Weights are quantised once, by output channel; inputs as they come, each frame by a scale of its
own. The convolutions over frames are linear layers over a few frames each, and take one scale for
all that goes through at once: so a window's numbers are its own only where it goes alone, and
`models.speech` sees to that. Together these layers are nearly all of a Wav2Vec2's arithmetic; the
rest stays in float32. This module knows torch alone.
"""

from __future__ import annotations

import copy
import functools
from typing import Any, Final, TypeVar

import torch

Module = TypeVar("Module", bound=torch.nn.Module)

#: Numbers are from -127 to 127; weights from -63 to 63 where the processor's sums overflow.
_LEVELS: Final = 127
_LOW_LEVELS: Final = 63

#: Layers that stay in float32: small, at both ends of the model, and what errs there errs most.
_EXACT: Final = frozenset({"feature_projection", "lm_head"})

#: Convolutions over fewer channels gain too little for what rounding costs.
_WIDE: Final = 256


def quantised(model: Module) -> Module:
    """Return a copy of a model, in float32, with int8 layers in the place of those that gain."""
    changed = copy.deepcopy(model)
    _quantise(changed)
    return changed


def _quantise(module: torch.nn.Module) -> None:
    for name, child in module.named_children():
        if name in _EXACT:
            continue
        if isinstance(child, torch.nn.Linear):
            setattr(module, name, QuantisedLinear(child))
        elif isinstance(child, torch.nn.Conv1d) and _is_linear_over_frames(child):
            setattr(module, name, QuantisedConvolution(child))
        else:
            _quantise(child)


def _is_linear_over_frames(convolution: torch.nn.Conv1d) -> bool:
    return (
        convolution.in_channels >= _WIDE
        and convolution.groups == 1
        and convolution.padding == (0,)
        and convolution.dilation == (1,)
    )


class QuantisedLinear(torch.nn.Module):
    """A linear layer with int8 weights, and inputs rounded frame by frame."""

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        self._weight = _Weight(linear.weight)
        outputs = linear.out_features
        self._bias = torch.zeros(outputs) if linear.bias is None else linear.bias.detach().clone()

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return (..., outputs) of (..., inputs)."""
        frames = hidden.reshape(-1, hidden.shape[-1])
        scales = _scales(frames.abs().amax(dim=1, keepdim=True))
        products = self._weight.multiply(_rounded(frames, scales), 1.0, None)
        result = torch.addcmul(self._bias, products, scales)
        return result.view(*hidden.shape[:-1], -1)


class QuantisedConvolution(torch.nn.Module):
    """A convolution over frames, without padding, as a linear layer over a few frames each."""

    def __init__(self, convolution: torch.nn.Conv1d) -> None:
        super().__init__()
        self.kernel_size, self.stride = convolution.kernel_size, convolution.stride
        self.padding = convolution.padding
        # (outputs, channels, kernel) becomes (outputs, kernel x channels): frame after frame.
        self._weight = _Weight(convolution.weight.transpose(1, 2).flatten(1))
        bias = convolution.bias
        self._bias = None if bias is None else bias.detach().clone()

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return (rows, outputs, frames) of (rows, channels, frames)."""
        # Mostly it lies in memory frame by frame already, as the layer before left it.
        dense = hidden if hidden.is_contiguous() else hidden.transpose(1, 2)
        scale = _scales(torch.stack(torch.aminmax(dense)).abs().amax())
        # Frame by frame, a few frames are one run of numbers.
        frames = _rounded(hidden, scale).transpose(1, 2).contiguous()
        rows, count, channels = frames.shape
        kernel, stride = self.kernel_size[0], self.stride[0]
        shape = rows, (count - kernel) // stride + 1, kernel * channels
        runs = frames.as_strided(shape, (count * channels, stride * channels, 1))
        result = self._weight.multiply(runs.flatten(0, 1), float(scale), self._bias)
        return result.view(rows, shape[1], -1).transpose(1, 2)


class _Weight:
    """A matrix of int8 numbers with a scale for each output, ready to multiply with."""

    def __init__(self, weight: torch.Tensor) -> None:
        """`weight` is (outputs, inputs)."""
        weight = weight.detach().float()
        levels = _LOW_LEVELS if _overflows() else _LEVELS
        scales = _scales(weight.abs().amax(dim=1, keepdim=True), levels)
        self._numbers = _rounded(weight, scales).contiguous()
        self._scales = scales[:, 0].contiguous()
        self._points = torch.zeros(len(weight), dtype=torch.int32)
        self._packed = None
        if _has_onednn():
            self._packed = _packed(self._numbers)
            del self._numbers

    def multiply(
        self, frames: torch.Tensor, scale: float, bias: torch.Tensor | None
    ) -> torch.Tensor:
        """Return float32 (frames, outputs) of int8 (frames, inputs), times `scale`, plus `bias`."""
        if self._packed is None:
            products = torch._int_mm(frames, self._numbers.t()) * (self._scales * scale)  # noqa: SLF001
            return products if bias is None else products + bias
        return _product(frames, scale, self._packed, self._scales, self._points, bias)


def _has_onednn() -> bool:
    return hasattr(torch.ops.onednn, "qlinear_pointwise")


def _packed(numbers: torch.Tensor) -> Any:
    ops: Any = torch.ops.onednn
    return ops.qlinear_prepack(numbers, None)


def _product(
    frames: torch.Tensor,
    scale: float,
    packed: Any,
    scales: torch.Tensor,
    points: torch.Tensor,
    bias: torch.Tensor | None,
) -> torch.Tensor:
    # One call does it all, and with AMX where there is: 9 times as fast as float32.
    ops: Any = torch.ops.onednn
    result: torch.Tensor = ops.qlinear_pointwise(
        frames, scale, 0, packed, scales, points, bias, 1.0, 0, torch.float32, "none", [], "",
    )  # fmt: skip
    return result


@functools.cache
def _overflows() -> bool:
    """Return whether sums of the largest products come out too small.

    Processors with AVX2 but no VNNI add two products in 16 bits, the inputs counted from 0 to 255:
    no more than 63 as a weight keeps them within. Asked of the library itself, as it may use less
    than the processor has.
    """
    if not _has_onednn():
        return False
    largest = torch.full((64, 64), _LEVELS, dtype=torch.int8)
    points = torch.zeros(64, dtype=torch.int32)
    found = _product(largest, 1.0, _packed(largest), torch.ones(64), points, None)
    return bool((found != 64 * _LEVELS**2).any())


def _scales(largest: torch.Tensor, levels: int = _LEVELS) -> torch.Tensor:
    return (largest / levels).clamp_min(torch.finfo(torch.float32).tiny)


def _rounded(numbers: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    return (numbers / scales).round_().to(torch.int8)
