"""PyTorch, eager."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks import workloads
from benchmarks.frameworks import LEARNING_RATE, MOMENTUM, THREADS


class Recurrent(nn.Module):
    """An LSTM or GRU whose second bias stays as it is: nnlite's LSTM has none, its GRU a part."""

    def __init__(self, kind: type[nn.LSTM | nn.GRU], features: int, hidden: int) -> None:
        super().__init__()
        self.inner = kind(features, hidden, batch_first=True)
        self.inner.bias_hh_l0.requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The outputs, without the states."""
        return self.inner(x)[0]


class LastStep(nn.Module):
    """The last step of each sequence."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """At T − 1."""
        return x[:, -1]


def transformer(d_model: int, num_heads: int, d_ff: int) -> nn.Module:
    """nnlite's defaults."""
    return nn.TransformerEncoderLayer(
        d_model, num_heads, d_ff, 0.0, "gelu", batch_first=True, norm_first=True
    )


BUILD: dict[str, Callable[..., nn.Module]] = {
    "linear": nn.Linear,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "dropout": nn.Dropout,
    "conv": lambda i, o, k, s, p, g: nn.Conv2d(i, o, k, s, p, groups=g),
    "maxpool": nn.MaxPool2d,
    "batchnorm": nn.BatchNorm2d,
    "flatten": nn.Flatten,
    "lstm": lambda i, h: Recurrent(nn.LSTM, i, h),
    "gru": lambda i, h: Recurrent(nn.GRU, i, h),
    "last": LastStep,
    "embedding": nn.Embedding,
    "transformer": transformer,
}
# nnlite's layouts into PyTorch's
LOAD: dict[str, Callable[..., Sequence[np.ndarray]]] = {
    "linear": lambda weight, bias: (weight.T, bias),
    "conv": lambda weight, bias: (weight.transpose(3, 2, 0, 1), bias),
    "batchnorm": lambda weight, bias: (weight, bias),
    "lstm": lambda w_ih, w_hh, bias: (w_ih.T, w_hh.T, bias, 0 * bias),
    "gru": lambda w_ih, w_hh, bias, bias_hn: (
        w_ih.T,
        w_hh.T,
        bias,
        np.concatenate([0 * bias_hn, 0 * bias_hn, bias_hn]),
    ),
    "embedding": lambda weight: (weight,),
    # first norm, attention, second norm, linear maps → attention, linear maps, norms
    "transformer": lambda *w: [own.T for own in (*w[2:6], *w[8:12], *w[0:2], *w[6:8])],
}
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
    "sgd momentum": partial(torch.optim.SGD, momentum=MOMENTUM),
}


def build(workload: workloads.Workload) -> nn.Module:
    """The model with the workload's weights."""
    torch.set_num_threads(THREADS)
    model = nn.Sequential(*(BUILD[kind](*sizes) for kind, *sizes in workload.layers))
    drawn = iter(workloads.weights(workload))
    channels = 0  # of the image that was flattened
    with torch.no_grad():
        for (kind, *sizes), layer in zip(workload.layers, model, strict=True):
            if kind in LOAD:
                load(kind, sizes, layer, drawn)
            if kind == "conv":
                channels = sizes[1]
            elif kind == "linear" and channels:
                layer.weight.copy_(channels_first(layer.weight, channels))
                channels = 0
    return model


def channels_first(weight: torch.Tensor, channels: int) -> torch.Tensor:
    """A weight (out, H·W·C) for rows that were flattened from (C, H, W)."""
    return weight.reshape(len(weight), -1, channels).transpose(1, 2).reshape(weight.shape)


def batch(workload: workloads.Workload) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs, images with their channels first, and classes."""
    x, y = map(torch.from_numpy, workloads.data(workload))
    return (x.permute(0, 3, 1, 2).contiguous() if x.ndim == 4 else x), y


def load(kind: str, sizes: list[int], layer: nn.Module, drawn: Iterator[np.ndarray]) -> None:
    """Copy the next weights into one layer."""
    own = [next(drawn) for _ in workloads.SHAPES[kind](*sizes)]
    for parameter, value in zip(layer.parameters(), LOAD[kind](*own), strict=True):
        parameter.copy_(torch.from_numpy(np.ascontiguousarray(value)))


def training(workload: workloads.Workload) -> Callable[[], float]:
    """zero_grad, forward, loss, backward, step."""
    model = build(workload)
    x, y = batch(workload)
    optimizer = OPTIMIZERS[workload.optimizer](model.parameters(), lr=LEARNING_RATE)

    def step() -> float:
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(x).flatten(0, -2), y.flatten())
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def inference(workload: workloads.Workload) -> Callable[[], torch.Tensor]:
    """Forward in eval and inference mode."""
    model = build(workload).eval()
    x, _ = batch(workload)

    def predict() -> torch.Tensor:
        with torch.inference_mode():
            return model(x)

    return predict
