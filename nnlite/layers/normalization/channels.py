"""Normalizations with statistics per channel: over the batch, or over a sample's positions.

All of them standardize and then let the network choose a scale and a shift of its own:

    x̂ = (x − μ) r,  r = 1/√(σ² + ε),  y = γ ⊙ x̂ + β

They differ only in the set S of values that share one μ and one σ². The gradient goes three
ways, through x directly, through μ and through σ², with D = dL/dx̂ = G ⊙ γ and M = |S|:

    dL/dσ² = Σ_S D (x − μ) (−½) r³ = −½ r² Σ_S D x̂
    dL/dμ  = −r Σ_S D              (through σ² nothing comes: ∂σ²/∂μ = −2/M Σ_S (x − μ) = 0)
    dL/dx  = D r + dL/dσ² · 2 (x − μ)/M + dL/dμ / M
           = r (D − 1/M Σ_S D − x̂ · 1/M Σ_S D x̂)

So what leaves is D without its mean and without its component along x̂: moving all of S, or
scaling it, changes nothing in x̂, and the gradient has nothing to say about it.

Neither D nor x̂ needs an array of its own. With D = G ⊙ γ and x̂ = r (x − μ) put in, the gradient is
a line in G and x, with one number per channel for each of its terms:

    dL/dx = (r γ) G + s x + t,    s = −r² · 1/M Σ_S D x̂,    t = −r · 1/M Σ_S D − s μ
"""

from __future__ import annotations

import math
from collections.abc import Container
from typing import Any, ClassVar

import numpy as np

from nnlite.core.checks import BATCHED, layout_hint
from nnlite.core.padded import ONE_FEATURE, Padded, data_and_lengths
from nnlite.core.parameter import Buffer, Parameter
from nnlite.core.ranks import Share, current_share
from nnlite.core.reading import Reading
from nnlite.layers.base import Layer
from nnlite.ops.channels import (
    combine,
    moments,
    scale_and_shift,
    sums_along,
    wide_rows,
)


class ChannelNorm(Layer):
    """What the layers of this file share; a subclass says which values share their statistics."""

    splits_products = True
    ranks: ClassVar[Container[int]] = BATCHED  # the numbers of axes that are taken
    over: ClassVar[str]  # what shares its statistics, in words
    weight: Parameter | None
    bias: Parameter | None

    def __init__(self, channels: int, eps: float, affine: bool, bias: bool) -> None:
        self._channels = channels
        self.eps = eps
        self.affine = affine
        self.weight = Parameter(np.broadcast_to(1.0, channels)) if affine else None
        self.bias = Parameter(np.broadcast_to(0.0, channels)) if affine and bias else None

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        affine, own = self.weight is not None, self.own_statistics()
        shift = " + β" if self.bias is not None else ""
        d, rstd = "D" if affine else "G", "/ √(σ² + ε)"
        mean, var = ("mean x", "mean (x − μ)²") if own else ("running_mean", "running_var")
        x_hat = f"x̂ = (x − μ) {rstd},  μ = {mean},  σ² = {var}"
        x_hat += f",  means over {self.over}" if own else ""
        through = f"({d} − mean {d} − x̂ mean({d} ⊙ x̂))" if own else d
        forward = f"y = {f'γ ⊙ x̂{shift}' if affine else 'x̂'},  {x_hat}"
        learned = {"weight": "dL/dγ = Σ G ⊙ x̂"} if affine else {}
        learned |= {"bias": "dL/dβ = Σ G"} if shift else {}
        back = f"dL/dx = {through} {rstd}" + (",  D = G ⊙ γ" if affine else "")
        return {"forward": forward, **learned, "input": back}

    def reading(
        self, x: Any = None, mask: Any = None, mean: Any = None, rstd: Any = None, *rest: Any
    ) -> Reading:
        """As rows of channels where the batch shares statistics; else each sample by itself."""
        if mean is None or mask is not None:
            return Reading()
        groups, together = len(mean), self._channels // self._sets
        learned: tuple[int, ...] = (self._channels,)
        axes: Any = 0 if groups == 1 else 1
        rows: tuple[int, ...] = (-1, *learned) if groups == 1 else (groups, -1, *learned)
        if together > 1:
            learned, axes = (self._sets, together), (1, 3)
            rows = (groups, -1, *learned)
        one_each = (1, *learned) if len(rows) == 2 else (groups, 1, *learned)
        mu, r = mean.reshape(one_each), rstd.reshape(one_each)
        return Reading(
            values={"μ": mu, "√(σ² + ε)": 1 / r, "x̂": (x.reshape(rows) - mu) * r},
            fold=lambda shape: rows,
            axes={"mean": axes},
            shapes=dict.fromkeys(("γ", "β", "running_mean", "running_var"), learned),
        )

    @property
    def _sets(self) -> int:
        """In how many sets the channels share statistics."""
        return self._channels

    def own_statistics(self) -> bool:
        """Whether μ and σ² are those of x, and so depend on it."""
        return True

    def groups(self, x: np.ndarray) -> int:
        """How many groups of samples have statistics of their own: N, or 1 for the batch."""
        return len(x)

    def average(self, means: np.ndarray) -> np.ndarray:
        """Means of single channels (B, C) averaged over the channels that share statistics."""
        return means

    def share(self) -> Share | None:
        """Whose rows x is, where others have rows with the same statistics."""
        return None

    def statistics(
        self, rows: np.ndarray, count: int, share: Share | None
    ) -> tuple[np.ndarray, np.ndarray, int]:
        """(μ, σ², number of values in a channel), both (B, C); `rows` has `count` in each."""
        means, squares = moments(rows, self._channels)
        if share is not None:
            means, squares, count = share.joined_moments(means, squares, count)
        mean = self.average(means)
        return mean, self.average(squares + (means - mean) ** 2), count

    def check_input(self, x: Any) -> None:
        """Refuse other shapes than (N, …, C), and no values."""
        self.check_floating(x)
        if x.ndim not in self.ranks or x.shape[-1] != self._channels:
            hint = layout_hint(x.shape, self._channels, self.ranks)
            raise ValueError(f"{self!r}: expected {self.expected()}, got {x.shape}{hint}")
        if x.size == 0:
            raise ValueError(f"{self!r}: nothing to normalize in an input of {x.shape}")

    def expected(self) -> str:
        """The shapes that are taken, for messages."""
        return f"(N, …, {self._channels})"

    def forward(self, x: np.ndarray | Padded) -> Any:
        self.check_input(x)
        values, mask = (x.data[x.mask], x.mask) if isinstance(x, Padded) else (x, None)
        rows = wide_rows(values, self.groups(values))
        own, share = self.own_statistics(), self.share()
        count = math.prod(values.shape[:-1]) // len(rows)
        mean, var, count = self.statistics(rows, count, share)
        rstd = 1 / np.sqrt(var + float(self.eps))
        scale = self._scaled(rstd)
        # γ ⊙ x̂ + β as one factor and one term per channel: y = (γ r) x + (β − γ r μ)
        shift = -mean * scale
        if self.bias is not None:
            shift += self.bias.data
        y = scale_and_shift(rows, scale, shift).reshape(values.shape)
        self.save_for_backward(values, mask, mean, rstd, own, count, share)
        return Padded(_put_back(y, mask), x.lengths) if isinstance(x, Padded) else y

    def backward(self, grad_output: np.ndarray) -> np.ndarray | None:
        x, mask, mean, rstd, own, count, share = self.saved()
        if mask is None:
            self.check_grad_output(grad_output, x.shape)
        else:
            self.check_grad_output(grad_output, mask.shape + x.shape[1:])
            grad_output = grad_output[mask]
        rows, d_rows = (wide_rows(a, len(mean)) for a in (x, grad_output))
        total, along = sums_along(d_rows, rows, mean)  # Σ G and Σ G ⊙ (x − μ), (B, C)
        along *= rstd  # Σ G ⊙ x̂
        if self.weight is not None:
            self.weight.add_grad(along.sum(axis=0))
        if self.bias is not None:
            self.bias.add_grad(total.sum(axis=0))
        if not self.needs_input_grad:
            return None
        scale = self._scaled(rstd)  # r γ, (B, C)
        if not own:  # μ and σ² are numbers that x does not change
            d_x = scale_and_shift(d_rows, scale, np.zeros_like(scale))
            return _put_back(d_x.reshape(x.shape), mask)
        if share is not None:
            total, along = share.summed(total, along)
        mean_d = self.average(self._scaled(total) / count)  # 1/M Σ_S D, (B, C)
        mean_d_x_hat = self.average(self._scaled(along) / count)  # 1/M Σ_S D x̂, (B, C)
        s = -rstd * rstd * mean_d_x_hat
        t = -rstd * mean_d - s * mean
        d_x = combine(d_rows, rows, scale, s, t)  # (r γ) G + s x + t
        return _put_back(d_x.reshape(x.shape), mask)

    def _scaled(self, values: np.ndarray) -> np.ndarray:
        return values if self.weight is None else values * self.weight.data


def _put_back(values: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """The real steps (R, …) where the mask (N, T) has them, zeros elsewhere; all without a mask."""
    if mask is None:
        return values
    whole = np.zeros(mask.shape + values.shape[1:], values.dtype)
    whole[mask] = values
    return whole


class TrackingNorm(ChannelNorm):
    """Statistics that running ones may stand in for: what batch and instance norm share."""

    running_mean: Buffer | None = None
    running_var: Buffer | None = None

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        bias: bool,
    ) -> None:
        super().__init__(num_features, eps, affine, bias)
        self.num_features = num_features
        self.momentum = momentum
        self.track_running_stats = track_running_stats
        if track_running_stats:
            self.running_mean = Buffer(np.broadcast_to(0.0, num_features))
            self.running_var = Buffer(np.broadcast_to(1.0, num_features))
            if momentum is None:
                self.num_batches_tracked = Buffer(np.zeros(1, np.int64))

    def own_statistics(self) -> bool:
        return self.training or not self.track_running_stats

    def over_samples(self, statistic: np.ndarray) -> np.ndarray:
        """One statistic of each channel for the whole batch: (B, C) → (C,)."""
        share, mean = current_share(), statistic.mean(axis=0)
        return mean if share is None else share.summed(share.weight * mean)[0]

    def statistics(
        self, rows: np.ndarray, count: int, share: Share | None
    ) -> tuple[np.ndarray, np.ndarray, int]:
        """Those of x, which also move the running ones in training mode; else the running."""
        if self.running_mean is None or self.running_var is None:
            return super().statistics(rows, count, share)
        if not self.training:
            running = (self.running_mean.data, self.running_var.data)
            mean, var = (np.repeat(each[None], len(rows), axis=0) for each in running)
            return mean, var, count
        mean, var, count = super().statistics(rows, count, share)
        part = self.momentum
        if part is None:  # so that all batches count alike
            self.num_batches_tracked.data += 1
            part = 1 / int(self.num_batches_tracked.data[0])
        self.running_mean.data += part * (self.over_samples(mean) - self.running_mean.data)
        unbiased = self.over_samples(var) * (count / (count - 1))
        self.running_var.data += part * (unbiased - self.running_var.data)
        return mean, var, count


class BatchNorm(TrackingNorm):
    """What `BatchNorm1d` and `BatchNorm2d` share: statistics over the whole batch.

    Of `Padded` sequences the batch is their real steps, taken out and put back where they were.
    """

    accepts_padded = True
    over = "the batch"

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, bias)

    def groups(self, x: np.ndarray) -> int:
        return 1

    def share(self) -> Share | None:
        return current_share() if self.own_statistics() else None

    def over_samples(self, statistic: np.ndarray) -> np.ndarray:
        """There is one for the whole batch already."""
        return statistic[0]

    def check_input(self, x: Any) -> None:
        """Refuse a batch without a variance too."""
        data, lengths = data_and_lengths(x)
        super().check_input(data)
        count = data.size if lengths is None else lengths.sum() * math.prod(data.shape[2:])
        if lengths is not None and data.ndim < 3:
            raise ValueError(
                f"{self!r}: expected Padded sequences (N, T, …, {self.num_features}), "
                f"got {data.shape}; use {ONE_FEATURE}"
            )
        if self.own_statistics() and count == self._channels and current_share() is None:
            mode = ", or eval mode" if self.track_running_stats else ""
            raise ValueError(
                f"{self!r}: training mode needs more than one value per channel, got {x.shape}: "
                f"one value has no variance. Use a larger batch{mode}"
            )


class BatchNorm1d(BatchNorm):
    """Batch normalization of features (N, C) or sequences (N, L, C).

    Forward      x̂ = (x − μ) r,  r = 1/√(σ² + ε),  y = γ ⊙ x̂ + β
                 training: μ, σ² of each channel over the batch (and over L); each forward moves
                 the running statistics by momentum: m ← (1 − momentum) m + momentum · μ, and the
                 same for the variance, with the unbiased σ² M/(M − 1), M values per channel
                 eval: the running statistics stand in for μ and σ²
                 `Padded` sequences are one array (M, C) of their real steps; the padding has no
                 part in any sum here or below, and is zero in y and in dL/dx
    Backward     in Ioffe & Szegedy's order, section 3, with D = dL/dx̂ and sums over the batch
                 1. D = G ⊙ γ
                 2. dL/dσ² = Σ D (x − μ) · (−½) (σ² + ε)^(−3/2)
                 3. dL/dμ = −r Σ D + dL/dσ² · (−2/M) Σ (x − μ), whose second sum is 0
                 4. dL/dx = D r + dL/dσ² · 2 (x − μ)/M + dL/dμ / M
                 5. dL/dγ = Σ G ⊙ x̂
                 6. dL/dβ = Σ G
                 2 and 3 put into 4 give, as (x − μ) r = x̂,
                 dL/dx = r (D − 1/M Σ D − x̂ · 1/M Σ D ⊙ x̂)
                 eval: μ and σ² do not depend on x, which leaves dL/dx = D r
    Shapes       x (N, C) or (N, L, C), y like x; weight, bias and running statistics (C,)
    Saves        x, μ, r, and whether μ and σ² are the batch's
    Args         num_features: C
                 eps: ε, added to the variance (default 1e-5)
                 momentum: the share of the newest batch in the running statistics (default 0.1);
                 None takes the mean over all batches so far, whose number is then a buffer too
                 affine: whether γ and β are learned (default True); without, both are None
                 track_running_stats: whether there are running statistics (default True); without,
                 eval mode takes the batch's, as training does
                 bias: whether there is a β, when affine (default True)
    Raises       ValueError: when x's last axis is not C or G not in y's shape, and in training mode
                 for a single value per channel, which has no variance
                 TypeError: when x does not hold floats
    Source       Ioffe & Szegedy 2015, "Batch Normalization", algorithms 1 and 2

    `fit` cannot know the shape that a batch will have here, and so refuses a last batch of one
    sample. A single sequence longer than 1 does have a variance: `layer.min_batch = 1` lets it in.
    """

    ranks: ClassVar = (2, 3)
    min_batch = 2

    def expected(self) -> str:
        return f"(N, {self.num_features}) or (N, L, {self.num_features})"


class BatchNorm2d(BatchNorm):
    """Batch normalization of images, each channel over the batch and all positions.

    Forward      x̂ = (x − μ) r,  r = 1/√(σ² + ε),  y = γ ⊙ x̂ + β
                 training: μ, σ² of each channel over N, H and W; each forward moves the running
                 statistics by momentum, the variance with the unbiased σ² M/(M − 1), M = N·H·W
                 eval: the running statistics stand in for μ and σ²
    Backward     dL/dx = r (D − 1/M Σ D − x̂ · 1/M Σ D ⊙ x̂),  D = G ⊙ γ
                 dL/dγ = Σ G ⊙ x̂,  dL/dβ = Σ G, sums over N, H and W; eval: dL/dx = D r
                 as derived in `BatchNorm1d`, with a position counting as one more sample
    Shapes       x (N, H, W, C), y like x; weight, bias and running statistics (C,)
    Saves        x, μ, r, and whether μ and σ² are the batch's
    Args         as `BatchNorm1d`: num_features, eps (1e-5), momentum (0.1), affine (True),
                 track_running_stats (True), bias (True)
    Raises       ValueError: when x is not (N, H, W, C) or G not in y's shape, and in training mode
                 for a single value per channel, which has no variance
                 TypeError: when x does not hold floats
    Source       Ioffe & Szegedy 2015, "Batch Normalization", section 3.2
    """

    ranks: ClassVar = (4,)

    def expected(self) -> str:
        return f"(N, H, W, {self.num_features})"


class GroupNorm(ChannelNorm):
    """Each sample by itself, a group of channels at a time.

    Forward      x̂ = (x − μ) r,  r = 1/√(σ² + ε),  y = γ ⊙ x̂ + β
                 μ, σ² of each sample and each group of C/num_groups neighbouring channels, over
                 all positions; training and eval mode are the same
    Backward     dL/dx = r (D − mean D − x̂ mean(D ⊙ x̂)),  D = G ⊙ γ
                 as in `BatchNorm1d`, with means over a group's values in place of the batch's
                 dL/dγ = Σ G ⊙ x̂,  dL/dβ = Σ G, sums over samples and positions
    Shapes       x (N, …, C), y like x; weight (C,); bias (C,)
    Saves        x, μ, r
    Args         num_groups: a divisor of C; 1 takes all channels together, C each by itself
                 num_channels: C
                 eps: ε, added to the variance (default 1e-5)
                 affine: whether γ and β are learned (default True); without, both are None
                 bias: whether there is a β, when affine (default True)
    Raises       ValueError: when the groups do not divide the channels, x's last axis is not C, G
                 is not in y's shape, or a group has a single value, whose variance is 0
                 TypeError: when x does not hold floats
    Source       Wu & He 2018, "Group Normalization", equations 1, 2, 6 and 7
    """

    mixed_axes = (1, -1)
    instead_of_padded = "LayerNorm, which takes each time step by itself, or BatchNorm1d"
    over = "each sample's group of channels"

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__(num_channels, eps, affine, bias)
        if num_channels % num_groups:
            raise ValueError(
                f"GroupNorm: num_groups must divide num_channels, got {num_groups} and "
                f"{num_channels}"
            )
        self.num_groups = num_groups
        self.num_channels = num_channels

    @property
    def _sets(self) -> int:
        return self.num_groups

    def average(self, means: np.ndarray) -> np.ndarray:
        """Each channel's value is that of its group."""
        grouped = means.reshape(len(means), self.num_groups, -1)  # (N, groups, C/groups)
        together = grouped.mean(axis=2, keepdims=True)
        return np.broadcast_to(together, grouped.shape).reshape(means.shape)

    def check_input(self, x: np.ndarray) -> None:
        """Refuse a group without a variance too."""
        super().check_input(x)
        if x[0].size == self.num_groups:
            raise ValueError(
                f"{self!r}: needs more than one value per sample and group, got {x.shape}"
            )


class InstanceNorm(TrackingNorm):
    """What `InstanceNorm1d` and `InstanceNorm2d` share: each sample and each channel by itself."""

    over = "each sample's channel"

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        affine: bool = False,
        momentum: float = 0.1,
        track_running_stats: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, bias)

    def check_input(self, x: np.ndarray) -> None:
        """Refuse a channel without a variance too."""
        super().check_input(x)
        if self.own_statistics() and math.prod(x.shape[1:-1]) == 1:
            raise ValueError(f"{self!r}: needs more than one position, got {x.shape}")


class InstanceNorm1d(InstanceNorm):
    """Each sequence and each channel by itself, over its steps.

    Forward      x̂ = (x − μ) r,  r = 1/√(σ² + ε),  y = x̂, or γ ⊙ x̂ + β
                 μ, σ² of each sample and channel over L; both modes are the same, unless running
                 statistics are tracked: then eval mode takes those, as in `BatchNorm1d`
    Backward     dL/dx = r (D − mean D − x̂ mean(D ⊙ x̂)),  D = G or G ⊙ γ
                 as in `BatchNorm1d`, with means over the steps in place of the batch's
                 dL/dγ = Σ G ⊙ x̂,  dL/dβ = Σ G, sums over samples and steps
    Shapes       x (N, L, C), y like x; weight, bias and running statistics (C,)
    Saves        x, μ, r, and whether μ and σ² are those of x
    Args         num_features: C
                 eps: ε, added to the variance (default 1e-5)
                 affine: whether γ and β are learned (default False: both are None)
                 momentum: the share of the newest batch's mean statistics in the running ones
                 (default 0.1)
                 track_running_stats: whether there are running statistics (default False)
                 bias: whether there is a β, when affine (default True)
    Raises       ValueError: when x is not (N, L, C), has a single step, or G is not in y's shape
                 TypeError: when x does not hold floats
    Source       Ulyanov et al. 2016, "Instance Normalization"
    """

    mixed_axes = (1,)
    instead_of_padded = "LayerNorm, which takes each time step by itself, or BatchNorm1d"
    ranks: ClassVar = (3,)

    def expected(self) -> str:
        return f"(N, L, {self.num_features})"


class InstanceNorm2d(InstanceNorm):
    """Each image and each channel by itself, over the positions.

    Forward      x̂ = (x − μ) r,  r = 1/√(σ² + ε),  y = x̂, or γ ⊙ x̂ + β
                 μ, σ² of each sample and channel over H and W; both modes are the same, unless
                 running statistics are tracked: then eval mode takes those, as in `BatchNorm2d`
    Backward     dL/dx = r (D − mean D − x̂ mean(D ⊙ x̂)),  D = G or G ⊙ γ
                 as in `BatchNorm1d`, with means over the positions in place of the batch's
                 dL/dγ = Σ G ⊙ x̂,  dL/dβ = Σ G, sums over samples and positions
    Shapes       x (N, H, W, C), y like x; weight, bias and running statistics (C,)
    Saves        x, μ, r, and whether μ and σ² are those of x
    Args         as `InstanceNorm1d`: num_features, eps (1e-5), affine (False), momentum (0.1),
                 track_running_stats (False), bias (True)
    Raises       ValueError: when x is not (N, H, W, C), has a single position, or G is not in y's
                 shape
                 TypeError: when x does not hold floats
    Source       Ulyanov et al. 2016, "Instance Normalization"
    """

    mixed_axes = (1, 2)
    instead_of_padded = "LayerNorm, which takes each place by itself, or BatchNorm2d"
    ranks: ClassVar = (4,)

    def expected(self) -> str:
        return f"(N, H, W, {self.num_features})"
