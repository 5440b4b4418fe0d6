"""Right layers and losses as a learner writes them; `wrong.py` makes one mistake in each."""

# ruff: noqa: RUF059  (some save more than they need: the mistakes use it)

import numpy as np

import nnlite as nn


def weights(*shape, seed=1):
    return 0.6 * np.random.default_rng(seed).standard_normal(shape)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


# -- affine maps --------------------------------------------------------------------------------


class Dense(nn.Layer):
    def __init__(self, inputs, outputs):
        self.inputs, self.outputs = inputs, outputs
        self.weight = nn.Parameter(weights(inputs, outputs))
        self.bias = nn.Parameter(weights(outputs, seed=2))

    def forward(self, x):
        y = x @ self.weight.data + self.bias.data
        self.save_for_backward(x)
        return y

    def backward(self, grad_output):
        (x,) = self.saved()
        self.weight.grad += x.T @ grad_output
        self.bias.grad += grad_output.sum(axis=0)
        return grad_output @ self.weight.data.T


class DenseOverTime(nn.Layer):
    def __init__(self, inputs, outputs):
        self.inputs, self.outputs = inputs, outputs
        self.weight = nn.Parameter(weights(inputs, outputs))
        self.bias = nn.Parameter(weights(outputs, seed=2))

    def forward(self, x):
        y = x @ self.weight.data + self.bias.data
        self.save_for_backward(x)
        return y

    def backward(self, grad_output):
        (x,) = self.saved()
        self.weight.grad += np.einsum("nti,nto->io", x, grad_output)
        self.bias.grad += grad_output.sum(axis=(0, 1))
        return np.einsum("nto,io->nti", grad_output, self.weight.data)


class TwoLayers(nn.Layer):
    """tanh(x W + b) V, in one layer."""

    def __init__(self, inputs, hidden, outputs):
        self.inputs, self.hidden, self.outputs = inputs, hidden, outputs
        self.w = nn.Parameter(weights(inputs, hidden))
        self.b = nn.Parameter(weights(hidden, seed=2))
        self.v = nn.Parameter(weights(hidden, outputs, seed=3))

    def forward(self, x):
        h = np.tanh(x @ self.w.data + self.b.data)
        y = h @ self.v.data
        self.save_for_backward(x, h)
        return y

    def backward(self, grad_output):
        x, h = self.saved()
        self.v.grad += h.T @ grad_output
        d_h = grad_output @ self.v.data.T
        d_a = d_h * (1 - h**2)
        self.w.grad += x.T @ d_a
        self.b.grad += d_a.sum(axis=0)
        return d_a @ self.w.data.T


class ScaleShift(nn.Layer):
    def __init__(self, features):
        self.features = features
        self.scale = nn.Parameter(1 + weights(features))
        self.shift = nn.Parameter(weights(features, seed=2))

    def forward(self, x):
        y = self.scale.data * x + self.shift.data
        self.save_for_backward(x)
        return y

    def backward(self, grad_output):
        (x,) = self.saved()
        self.scale.grad += (grad_output * x).sum(axis=0)
        self.shift.grad += grad_output.sum(axis=0)
        return grad_output * self.scale.data


class TiedAutoencoder(nn.Layer):
    """y = (x W) Wᵀ."""

    def __init__(self, features, hidden):
        self.features, self.hidden = features, hidden
        self.weight = nn.Parameter(weights(features, hidden))

    def forward(self, x):
        h = x @ self.weight.data
        y = h @ self.weight.data.T
        self.save_for_backward(x, h)
        return y

    def backward(self, grad_output):
        x, h = self.saved()
        d_h = grad_output @ self.weight.data
        self.weight.grad += grad_output.T @ h
        self.weight.grad += x.T @ d_h
        return d_h @ self.weight.data.T


class LowRank(nn.Layer):
    """y = x (U V) + b."""

    def __init__(self, features, rank):
        self.features, self.rank = features, rank
        self.u = nn.Parameter(weights(features, rank))
        self.v = nn.Parameter(weights(rank, features, seed=2))

    def forward(self, x):
        y = x @ self.u.data @ self.v.data
        self.save_for_backward(x)
        return y

    def backward(self, grad_output):
        (x,) = self.saved()
        self.v.grad += (x @ self.u.data).T @ grad_output
        self.u.grad += x.T @ (grad_output @ self.v.data.T)
        return grad_output @ self.v.data.T @ self.u.data.T


class Bilinear(nn.Layer):
    """y = Σᵢⱼ xᵢ Wᵢⱼₖ xⱼ."""

    def __init__(self, features, outputs):
        self.features, self.outputs = features, outputs
        self.weight = nn.Parameter(weights(features, features, outputs))

    def forward(self, x):
        y = np.einsum("ni,ijk,nj->nk", x, self.weight.data, x)
        self.save_for_backward(x)
        return y

    def backward(self, grad_output):
        (x,) = self.saved()
        self.weight.grad += np.einsum("ni,nj,nk->ijk", x, x, grad_output)
        left = np.einsum("nk,ijk,nj->ni", grad_output, self.weight.data, x)
        right = np.einsum("nk,ijk,ni->nj", grad_output, self.weight.data, x)
        return left + right


# -- activations --------------------------------------------------------------------------------


class Relu(nn.Layer):
    def forward(self, x):
        y = np.maximum(x, 0)
        self.save_for_backward(x)
        return y

    def backward(self, grad_output):
        (x,) = self.saved()
        return grad_output * (x > 0)


class Leaky(nn.Layer):
    def __init__(self, slope=0.1):
        self.slope = slope

    def forward(self, x):
        y = np.where(x > 0, x, self.slope * x)
        self.save_for_backward(x)
        return y

    def backward(self, grad_output):
        (x,) = self.saved()
        return np.where(x > 0, grad_output, self.slope * grad_output)


class LearnedSlope(nn.Layer):
    def __init__(self, channels):
        self.channels = channels
        self.slope = nn.Parameter(np.linspace(0.1, 0.4, channels))

    def forward(self, x):
        y = np.where(x > 0, x, self.slope.data * x)
        self.save_for_backward(x)
        return y

    def backward(self, grad_output):
        (x,) = self.saved()
        self.slope.grad += (grad_output * np.where(x > 0, 0, x)).sum(axis=0)
        return np.where(x > 0, grad_output, self.slope.data * grad_output)


class Sigmoid(nn.Layer):
    def forward(self, x):
        y = sigmoid(x)
        self.save_for_backward(x, y)
        return y

    def backward(self, grad_output):
        x, y = self.saved()
        return grad_output * y * (1 - y)


class Tanh(nn.Layer):
    def forward(self, x):
        y = np.tanh(x)
        self.save_for_backward(x, y)
        return y

    def backward(self, grad_output):
        x, y = self.saved()
        return grad_output * (1 - y**2)


class Silu(nn.Layer):
    def forward(self, x):
        s = sigmoid(x)
        y = x * s
        self.save_for_backward(x, s)
        return y

    def backward(self, grad_output):
        x, s = self.saved()
        return grad_output * (s + x * s * (1 - s))


class Gelu(nn.Layer):
    """The approximation by tanh."""

    def forward(self, x):
        c = np.sqrt(2 / np.pi).astype(x.dtype)
        t = np.tanh(c * (x + 0.044715 * x**3))
        y = 0.5 * x * (1 + t)
        self.save_for_backward(x, t)
        return y

    def backward(self, grad_output):
        x, t = self.saved()
        c = np.sqrt(2 / np.pi).astype(x.dtype)
        d_inner = c * (1 + 3 * 0.044715 * x**2)
        return grad_output * (0.5 * (1 + t) + 0.5 * x * (1 - t**2) * d_inner)


class Softplus(nn.Layer):
    def forward(self, x):
        y = np.log1p(np.exp(x))
        self.save_for_backward(x, y)
        return y

    def backward(self, grad_output):
        x, y = self.saved()
        return grad_output * sigmoid(x)


class Elu(nn.Layer):
    def forward(self, x):
        y = np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1)
        self.save_for_backward(x)
        return y

    def backward(self, grad_output):
        (x,) = self.saved()
        return grad_output * np.where(x > 0, 1, np.exp(np.minimum(x, 0)))


class Square(nn.Layer):
    def forward(self, x):
        y = x**2
        self.save_for_backward(x, y)
        return y

    def backward(self, grad_output):
        x, y = self.saved()
        return 2 * x * grad_output


class Cube(nn.Layer):
    def forward(self, x):
        y = x**3
        self.save_for_backward(x)
        return y

    def backward(self, grad_output):
        (x,) = self.saved()
        return 3 * x**2 * grad_output


class Sqrt(nn.Layer):
    def forward(self, x):
        y = np.sqrt(x)
        self.save_for_backward(x, y)
        return y

    def backward(self, grad_output):
        x, y = self.saved()
        return grad_output / (2 * y)


class Reciprocal(nn.Layer):
    def forward(self, x):
        y = 1 / x
        self.save_for_backward(x, y)
        return y

    def backward(self, grad_output):
        x, y = self.saved()
        return -grad_output / x**2


class Log(nn.Layer):
    def forward(self, x):
        y = np.log(x)
        self.save_for_backward(x, y)
        return y

    def backward(self, grad_output):
        x, y = self.saved()
        return grad_output / x


class Exp(nn.Layer):
    def forward(self, x):
        y = np.exp(x)
        self.save_for_backward(x, y)
        return y

    def backward(self, grad_output):
        x, y = self.saved()
        return grad_output * y


class Sine(nn.Layer):
    """y = a sin(ω x), with a learned frequency and amplitude."""

    def __init__(self, features):
        self.features = features
        self.omega = nn.Parameter(1.5 + weights(features))
        self.amplitude = nn.Parameter(2 + weights(features, seed=2))

    def forward(self, x):
        y = self.amplitude.data * np.sin(self.omega.data * x)
        self.save_for_backward(x)
        return y

    def backward(self, grad_output):
        (x,) = self.saved()
        inner = self.omega.data * x
        self.amplitude.grad += (grad_output * np.sin(inner)).sum(axis=0)
        d_inner = grad_output * self.amplitude.data * np.cos(inner)
        self.omega.grad += (d_inner * x).sum(axis=0)
        return d_inner * self.omega.data


class Swish(nn.Layer):
    """x σ(β x) with one learned β."""

    def __init__(self):
        self.beta = nn.Parameter(np.array(1.3))

    def forward(self, x):
        s = sigmoid(self.beta.data * x)
        y = x * s
        self.save_for_backward(x, s)
        return y

    def backward(self, grad_output):
        x, s = self.saved()
        d_s = grad_output * x * s * (1 - s)
        self.beta.grad += (d_s * x).sum()
        return grad_output * s + d_s * self.beta.data


class Clip(nn.Layer):
    def forward(self, x):
        y = np.clip(x, -1, 1)
        self.save_for_backward(x)
        return y

    def backward(self, grad_output):
        (x,) = self.saved()
        return grad_output * (np.abs(x) < 1)


class Softmax(nn.Layer):
    def forward(self, x):
        y = softmax(x)
        self.save_for_backward(y)
        return y

    def backward(self, grad_output):
        (y,) = self.saved()
        inner = (grad_output * y).sum(axis=-1, keepdims=True)
        return y * (grad_output - inner)


class LogSoftmax(nn.Layer):
    def forward(self, x):
        shifted = x - x.max(axis=-1, keepdims=True)
        y = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
        self.save_for_backward(y)
        return y

    def backward(self, grad_output):
        (y,) = self.saved()
        return grad_output - np.exp(y) * grad_output.sum(axis=-1, keepdims=True)


class Temperature(nn.Layer):
    """softmax(x / τ) with a learned τ."""

    def __init__(self):
        self.tau = nn.Parameter(np.array([1.7]))

    def forward(self, x):
        y = softmax(x / self.tau.data)
        self.save_for_backward(x, y)
        return y

    def backward(self, grad_output):
        x, y = self.saved()
        d_z = y * (grad_output - (grad_output * y).sum(axis=-1, keepdims=True))
        self.tau.grad += -(d_z * x).sum() / self.tau.data**2
        return d_z / self.tau.data


# -- gates and blocks ---------------------------------------------------------------------------


class Glu(nn.Layer):
    """a ⊙ σ(b), where x = [a, b]."""

    def forward(self, x):
        a, b = np.split(x, 2, axis=-1)
        s = sigmoid(b)
        y = a * s
        self.save_for_backward(a, s)
        return y

    def backward(self, grad_output):
        a, s = self.saved()
        d_a = grad_output * s
        d_b = grad_output * a * s * (1 - s)
        return np.concatenate([d_a, d_b], axis=-1)


class Highway(nn.Layer):
    """y = g h + (1 − g) x with g = σ(x W_g), h = tanh(x W_h)."""

    def __init__(self, features):
        self.features = features
        self.w_gate = nn.Parameter(weights(features, features))
        self.w_h = nn.Parameter(weights(features, features, seed=2))

    def forward(self, x):
        g = sigmoid(x @ self.w_gate.data)
        h = np.tanh(x @ self.w_h.data)
        y = g * h + (1 - g) * x
        self.save_for_backward(x, g, h)
        return y

    def backward(self, grad_output):
        x, g, h = self.saved()
        d_gate = grad_output * (h - x) * g * (1 - g)
        d_h = grad_output * g * (1 - h**2)
        self.w_gate.grad += x.T @ d_gate
        self.w_h.grad += x.T @ d_h
        d_x = grad_output * (1 - g)
        d_x += d_gate @ self.w_gate.data.T
        d_x += d_h @ self.w_h.data.T
        return d_x


class ResidualBlock(nn.Layer):
    """y = x + relu(x W)."""

    def __init__(self, features):
        self.features = features
        self.weight = nn.Parameter(weights(features, features))

    def forward(self, x):
        a = x @ self.weight.data
        y = x + np.maximum(a, 0)
        self.save_for_backward(x, a)
        return y

    def backward(self, grad_output):
        x, a = self.saved()
        d_a = grad_output * (a > 0)
        self.weight.grad += x.T @ d_a
        return grad_output + d_a @ self.weight.data.T


class SqueezeExcite(nn.Layer):
    """y = x ⊙ σ(mean_t(x) W), x (N, T, C)."""

    def __init__(self, channels):
        self.channels = channels
        self.weight = nn.Parameter(weights(channels, channels))

    def forward(self, x):
        m = x.mean(axis=1)  # (N, C)
        s = sigmoid(m @ self.weight.data)
        y = x * s[:, None]
        self.save_for_backward(x, m, s)
        return y

    def backward(self, grad_output):
        x, m, s = self.saved()
        d_s = (grad_output * x).sum(axis=1)
        d_a = d_s * s * (1 - s)
        self.weight.grad += m.T @ d_a
        d_m = d_a @ self.weight.data.T
        return grad_output * s[:, None] + d_m[:, None] / x.shape[1]


class Maxout(nn.Layer):
    """The largest of two affine maps."""

    def __init__(self, inputs, outputs):
        self.inputs, self.outputs = inputs, outputs
        self.w1 = nn.Parameter(weights(inputs, outputs))
        self.w2 = nn.Parameter(weights(inputs, outputs, seed=2))

    def forward(self, x):
        a, b = x @ self.w1.data, x @ self.w2.data
        first = a >= b
        y = np.where(first, a, b)
        self.save_for_backward(x, first)
        return y

    def backward(self, grad_output):
        x, first = self.saved()
        d_a, d_b = grad_output * first, grad_output * ~first
        self.w1.grad += x.T @ d_a
        self.w2.grad += x.T @ d_b
        return d_a @ self.w1.data.T + d_b @ self.w2.data.T


class Experts(nn.Layer):
    """Two linear experts, mixed by a softmax gate."""

    def __init__(self, inputs, outputs):
        self.inputs, self.outputs = inputs, outputs
        self.gate = nn.Parameter(weights(inputs, 2))
        self.expert = nn.Parameter(weights(2, inputs, outputs, seed=2))

    def forward(self, x):
        p = softmax(x @ self.gate.data)  # (N, 2)
        e = np.einsum("ni,kio->nko", x, self.expert.data)
        y = np.einsum("nk,nko->no", p, e)
        self.save_for_backward(x, p, e)
        return y

    def backward(self, grad_output):
        x, p, e = self.saved()
        d_e = p[:, :, None] * grad_output[:, None, :]
        d_p = np.einsum("no,nko->nk", grad_output, e)
        d_z = p * (d_p - (p * d_p).sum(axis=1, keepdims=True))
        self.gate.grad += x.T @ d_z
        self.expert.grad += np.einsum("ni,nko->kio", x, d_e)
        d_x = np.einsum("nko,kio->ni", d_e, self.expert.data)
        return d_x + d_z @ self.gate.data.T


class Rbf(nn.Layer):
    """y = exp(−γ ‖x − c‖²)."""

    def __init__(self, features, centers):
        self.features, self.centers = features, centers
        self.center = nn.Parameter(weights(centers, features))
        self.gamma = nn.Parameter(0.3 + 0.1 * np.arange(centers))

    def forward(self, x):
        diff = x[:, None] - self.center.data  # (N, K, D)
        distance = (diff**2).sum(axis=-1)
        y = np.exp(-self.gamma.data * distance)
        self.save_for_backward(diff, distance, y)
        return y

    def backward(self, grad_output):
        diff, distance, y = self.saved()
        d_exponent = grad_output * y
        self.gamma.grad += -(d_exponent * distance).sum(axis=0)
        d_diff = -2 * (d_exponent * self.gamma.data)[..., None] * diff
        self.center.grad += -d_diff.sum(axis=0)
        return d_diff.sum(axis=1)


# -- normalizations -----------------------------------------------------------------------------


class LayerNorm(nn.Layer):
    def __init__(self, features, eps=1e-5):
        self.features, self.eps = features, eps
        self.gamma = nn.Parameter(1 + weights(features))
        self.beta = nn.Parameter(weights(features, seed=2))

    def forward(self, x):
        mean = x.mean(axis=-1, keepdims=True)
        rstd = 1 / np.sqrt(x.var(axis=-1, keepdims=True) + self.eps)
        x_hat = (x - mean) * rstd
        y = self.gamma.data * x_hat + self.beta.data
        self.save_for_backward(x_hat, rstd)
        return y

    def backward(self, grad_output):
        x_hat, rstd = self.saved()
        self.gamma.grad += (grad_output * x_hat).sum(axis=0)
        self.beta.grad += grad_output.sum(axis=0)
        d_hat = grad_output * self.gamma.data
        mean_d = d_hat.mean(axis=-1, keepdims=True)
        mean_dx = (d_hat * x_hat).mean(axis=-1, keepdims=True)
        return rstd * (d_hat - mean_d - x_hat * mean_dx)


class BatchNorm(nn.Layer):
    def __init__(self, features, eps=1e-5, momentum=0.1):
        self.features, self.eps, self.momentum = features, eps, momentum
        self.gamma = nn.Parameter(1 + weights(features))
        self.beta = nn.Parameter(weights(features, seed=2))
        self.running_mean = nn.Buffer(np.zeros(features))
        self.running_var = nn.Buffer(np.ones(features))

    def forward(self, x):
        training = self.training
        if training:
            mean, var = x.mean(axis=0), x.var(axis=0)
            self.running_mean.data += self.momentum * (mean - self.running_mean.data)
            self.running_var.data += self.momentum * (var - self.running_var.data)
        else:
            mean, var = self.running_mean.data, self.running_var.data
        rstd = 1 / np.sqrt(var + self.eps)
        x_hat = (x - mean) * rstd
        y = self.gamma.data * x_hat + self.beta.data
        self.save_for_backward(x_hat, rstd, training)
        return y

    def backward(self, grad_output):
        x_hat, rstd, training = self.saved()
        self.gamma.grad += (grad_output * x_hat).sum(axis=0)
        self.beta.grad += grad_output.sum(axis=0)
        d_hat = grad_output * self.gamma.data
        if not training:
            return d_hat * rstd
        return rstd * (d_hat - d_hat.mean(axis=0) - x_hat * (d_hat * x_hat).mean(axis=0))


class RmsNorm(nn.Layer):
    def __init__(self, features):
        self.features = features
        self.gain = nn.Parameter(1 + weights(features))

    def forward(self, x):
        rms = np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-6)
        y = self.gain.data * x / rms
        self.save_for_backward(x, rms)
        return y

    def backward(self, grad_output):
        x, rms = self.saved()
        x_hat = x / rms
        self.gain.grad += (grad_output * x_hat).sum(axis=0)
        d_hat = grad_output * self.gain.data
        return (d_hat - x_hat * (d_hat * x_hat).mean(axis=-1, keepdims=True)) / rms


class UnitLength(nn.Layer):
    """y = x / ‖x‖."""

    def forward(self, x):
        norm = np.sqrt((x**2).sum(axis=-1, keepdims=True))
        y = x / norm
        self.save_for_backward(y, norm)
        return y

    def backward(self, grad_output):
        y, norm = self.saved()
        along = (grad_output * y).sum(axis=-1, keepdims=True)
        return (grad_output - y * along) / norm


class GroupNorm(nn.Layer):
    """Over the values of each group of channels, x (N, C)."""

    def __init__(self, groups):
        self.groups = groups

    def forward(self, x):
        z = x.reshape(len(x), self.groups, -1)
        centered = z - z.mean(axis=-1, keepdims=True)
        std = np.sqrt((centered**2).mean(axis=-1, keepdims=True) + 1e-5)
        z_hat = centered / std
        self.save_for_backward(z_hat, std)
        return z_hat.reshape(x.shape)

    def backward(self, grad_output):
        z_hat, std = self.saved()
        g = grad_output.reshape(z_hat.shape)
        d_centered = (g - z_hat * (g * z_hat).mean(axis=-1, keepdims=True)) / std
        d_z = d_centered - d_centered.mean(axis=-1, keepdims=True)
        return d_z.reshape(grad_output.shape)


class Center(nn.Layer):
    """Take each feature's mean over the batch away."""

    def forward(self, x):
        self.save_for_backward()
        return x - x.mean(axis=0)

    def backward(self, grad_output):
        self.saved()
        return grad_output - grad_output.mean(axis=0)


class WeightNorm(nn.Layer):
    """y = x W with the columns W = g v / ‖v‖."""

    def __init__(self, inputs, outputs):
        self.inputs, self.outputs = inputs, outputs
        self.v = nn.Parameter(weights(inputs, outputs))
        self.g = nn.Parameter(1 + weights(outputs, seed=2))

    def forward(self, x):
        norm = np.sqrt((self.v.data**2).sum(axis=0))
        unit = self.v.data / norm
        y = x @ (self.g.data * unit)
        self.save_for_backward(x, unit, norm)
        return y

    def backward(self, grad_output):
        x, unit, norm = self.saved()
        d_w = x.T @ grad_output
        d_g = (d_w * unit).sum(axis=0)
        self.g.grad += d_g
        self.v.grad += self.g.data / norm * (d_w - unit * d_g)
        return grad_output @ (self.g.data * unit).T


# -- convolution, pooling, shapes ---------------------------------------------------------------


class Conv1d(nn.Layer):
    """x (N, L, C), kernel (K, C, F), stride and zero padding."""

    def __init__(self, channels, filters, size=3, stride=1, padding=0):
        self.channels, self.filters = channels, filters
        self.size, self.stride, self.padding = size, stride, padding
        self.kernel = nn.Parameter(weights(size, channels, filters))
        self.bias = nn.Parameter(weights(filters, seed=2))

    def forward(self, x):
        p, k, s = self.padding, self.size, self.stride
        xp = np.pad(x, ((0, 0), (p, p), (0, 0)))
        steps = (xp.shape[1] - k) // s + 1
        y = np.empty((len(x), steps, self.filters), x.dtype)
        for t in range(steps):
            window = xp[:, t * s : t * s + k]  # (N, K, C)
            y[:, t] = np.einsum("nkc,kcf->nf", window, self.kernel.data) + self.bias.data
        self.save_for_backward(xp)
        return y

    def backward(self, grad_output):
        (xp,) = self.saved()
        p, k, s = self.padding, self.size, self.stride
        d_xp = np.zeros_like(xp)
        for t in range(grad_output.shape[1]):
            g = grad_output[:, t]
            window = xp[:, t * s : t * s + k]
            self.kernel.grad += np.einsum("nkc,nf->kcf", window, g)
            self.bias.grad += g.sum(axis=0)
            d_xp[:, t * s : t * s + k] += np.einsum("nf,kcf->nkc", g, self.kernel.data)
        return d_xp[:, p : d_xp.shape[1] - p]


class Conv2d(nn.Layer):
    """x (N, H, W, C), kernel (K, K, C, F), zero padding that keeps the size."""

    def __init__(self, channels, filters, size=3):
        self.channels, self.filters, self.size = channels, filters, size
        self.kernel = nn.Parameter(weights(size, size, channels, filters))

    def forward(self, x):
        p = self.size // 2
        xp = np.pad(x, ((0, 0), (p, p), (p, p), (0, 0)))
        height, width = x.shape[1:3]
        y = 0
        for i in range(self.size):
            for j in range(self.size):
                y = y + xp[:, i : i + height, j : j + width] @ self.kernel.data[i, j]
        self.save_for_backward(xp)
        return y

    def backward(self, grad_output):
        (xp,) = self.saved()
        p = self.size // 2
        height, width = grad_output.shape[1:3]
        d_kernel = np.zeros_like(self.kernel.data)
        d_xp = np.zeros_like(xp)
        for i in range(self.size):
            for j in range(self.size):
                part = xp[:, i : i + height, j : j + width]
                d_kernel[i, j] = np.einsum("nhwc,nhwf->cf", part, grad_output)
                d_xp[:, i : i + height, j : j + width] += grad_output @ self.kernel.data[i, j].T
        self.kernel.grad += d_kernel
        return d_xp[:, p : p + height, p : p + width]


class Depthwise(nn.Layer):
    """Causal, one kernel for each channel: y_t = Σₖ x_{t−k} w_k."""

    def __init__(self, channels, size=3):
        self.channels, self.size = channels, size
        self.weight = nn.Parameter(weights(size, channels))

    def forward(self, x):
        y = np.zeros_like(x)
        steps = x.shape[1]
        for k in range(self.size):
            y[:, k:] += x[:, : steps - k] * self.weight.data[k]
        self.save_for_backward(x)
        return y

    def backward(self, grad_output):
        (x,) = self.saved()
        steps = x.shape[1]
        d_x = np.zeros_like(x)
        for k in range(self.size):
            self.weight.grad[k] += (grad_output[:, k:] * x[:, : steps - k]).sum(axis=(0, 1))
            d_x[:, : steps - k] += grad_output[:, k:] * self.weight.data[k]
        return d_x


class MaxPool1d(nn.Layer):
    """Windows side by side, x (N, L, C)."""

    def __init__(self, size=2):
        self.size = size

    def forward(self, x):
        n, length, c = x.shape
        windows = x.reshape(n, length // self.size, self.size, c)
        best = windows.argmax(axis=2)
        y = windows.max(axis=2)
        self.save_for_backward(windows, best)
        return y

    def backward(self, grad_output):
        windows, best = self.saved()
        d_windows = np.zeros_like(windows)
        np.put_along_axis(d_windows, best[:, :, None], grad_output[:, :, None], axis=2)
        return d_windows.reshape(len(windows), -1, windows.shape[-1])


class MaxPool2d(nn.Layer):
    """Windows of 2 × 2, x (N, H, W, C)."""

    def forward(self, x):
        n, h, w, c = x.shape
        windows = x.reshape(n, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5)
        windows = windows.reshape(n, h // 2, w // 2, 4, c)
        best = windows.argmax(axis=3)
        y = windows.max(axis=3)
        self.save_for_backward(x.shape, best)
        return y

    def backward(self, grad_output):
        (n, h, w, c), best = self.saved()
        d_windows = np.zeros((n, h // 2, w // 2, 4, c), grad_output.dtype)
        np.put_along_axis(d_windows, best[:, :, :, None], grad_output[:, :, :, None], axis=3)
        d_windows = d_windows.reshape(n, h // 2, w // 2, 2, 2, c).transpose(0, 1, 3, 2, 4, 5)
        return d_windows.reshape(n, h, w, c)


class AvgPool1d(nn.Layer):
    """Windows of 3 at every step, x (N, L, C); at the borders over the values that are there."""

    def forward(self, x):
        length = x.shape[1]
        y = np.empty_like(x)
        for t in range(length):
            y[:, t] = x[:, max(t - 1, 0) : t + 2].mean(axis=1)
        self.save_for_backward(x.shape)
        return y

    def backward(self, grad_output):
        (shape,) = self.saved()
        length = shape[1]
        d_x = np.zeros_like(grad_output)
        for t in range(length):
            low, high = max(t - 1, 0), min(t + 2, length)
            d_x[:, low:high] += grad_output[:, t : t + 1] / (high - low)
        return d_x


class GlobalMean(nn.Layer):
    """The mean over height and width, x (N, H, W, C)."""

    def forward(self, x):
        self.save_for_backward(x.shape)
        return x.mean(axis=(1, 2))

    def backward(self, grad_output):
        (shape,) = self.saved()
        d_x = grad_output[:, None, None] / (shape[1] * shape[2])
        return np.broadcast_to(d_x, shape).copy()


class GlobalMax(nn.Layer):
    """The largest value over time, x (N, T, C)."""

    def forward(self, x):
        best = x.argmax(axis=1)
        self.save_for_backward(x.shape, best)
        return x.max(axis=1)

    def backward(self, grad_output):
        shape, best = self.saved()
        d_x = np.zeros(shape, grad_output.dtype)
        np.put_along_axis(d_x, best[:, None], grad_output[:, None], axis=1)
        return d_x


class Upsample(nn.Layer):
    """Each step twice, x (N, T, C)."""

    def forward(self, x):
        self.save_for_backward()
        return np.repeat(x, 2, axis=1)

    def backward(self, grad_output):
        self.saved()
        return grad_output[:, 0::2] + grad_output[:, 1::2]


class Flatten(nn.Layer):
    def forward(self, x):
        self.save_for_backward(x.shape)
        return x.reshape(len(x), -1)

    def backward(self, grad_output):
        (shape,) = self.saved()
        return grad_output.reshape(shape)


class SwapAxes(nn.Layer):
    """(N, T, C) to (N, C, T)."""

    def forward(self, x):
        self.save_for_backward()
        return x.transpose(0, 2, 1)

    def backward(self, grad_output):
        self.saved()
        return grad_output.transpose(0, 2, 1)


class Roll(nn.Layer):
    def forward(self, x):
        self.save_for_backward()
        return np.roll(x, 1, axis=1)

    def backward(self, grad_output):
        self.saved()
        return np.roll(grad_output, -1, axis=1)


class Cumsum(nn.Layer):
    def forward(self, x):
        self.save_for_backward()
        return np.cumsum(x, axis=1)

    def backward(self, grad_output):
        self.saved()
        return np.cumsum(grad_output[:, ::-1], axis=1)[:, ::-1]


class Difference(nn.Layer):
    """y_t = x_{t+1} − x_t, x (N, T, C)."""

    def forward(self, x):
        self.save_for_backward(x.shape)
        return x[:, 1:] - x[:, :-1]

    def backward(self, grad_output):
        (shape,) = self.saved()
        d_x = np.zeros(shape, grad_output.dtype)
        d_x[:, 1:] += grad_output
        d_x[:, :-1] -= grad_output
        return d_x


class Powers(nn.Layer):
    """[x, x²]."""

    def forward(self, x):
        self.save_for_backward(x)
        return np.concatenate([x, x**2], axis=-1)

    def backward(self, grad_output):
        (x,) = self.saved()
        first, second = np.split(grad_output, 2, axis=-1)
        return first + 2 * x * second


class Gather(nn.Layer):
    """Columns by number, some of them twice."""

    def __init__(self, columns):
        self.columns = columns

    def forward(self, x):
        self.save_for_backward(x.shape)
        return x[:, self.columns]

    def backward(self, grad_output):
        (shape,) = self.saved()
        d_x = np.zeros(shape, grad_output.dtype)
        np.add.at(d_x, (slice(None), self.columns), grad_output)
        return d_x


# -- sequences ----------------------------------------------------------------------------------


class Embedding(nn.Layer):
    def __init__(self, tokens, features):
        self.tokens, self.features = tokens, features
        self.weight = nn.Parameter(weights(tokens, features))

    def forward(self, x):
        self.save_for_backward(x)
        return self.weight.data[x]

    def backward(self, grad_output):
        (x,) = self.saved()
        np.add.at(self.weight.grad, x, grad_output)


class Positions(nn.Layer):
    """y = x + p, one learned vector for each step, x (N, T, C)."""

    def __init__(self, steps, channels):
        self.steps, self.channels = steps, channels
        self.place = nn.Parameter(weights(steps, channels))

    def forward(self, x):
        self.save_for_backward()
        return x + self.place.data

    def backward(self, grad_output):
        self.saved()
        self.place.grad += grad_output.sum(axis=0)
        return grad_output


class Attention(nn.Layer):
    """One head: softmax(Q Kᵀ / √d) V, then an output map; x (N, T, C)."""

    def __init__(self, channels, size):
        self.channels, self.size = channels, size
        self.w_q = nn.Parameter(weights(channels, size, seed=1))
        self.w_k = nn.Parameter(weights(channels, size, seed=2))
        self.w_v = nn.Parameter(weights(channels, size, seed=3))
        self.w_o = nn.Parameter(weights(size, channels, seed=4))

    def forward(self, x):
        q, k, v = x @ self.w_q.data, x @ self.w_k.data, x @ self.w_v.data
        scale = 1 / np.sqrt(self.size).astype(x.dtype)
        a = softmax(q @ k.transpose(0, 2, 1) * scale)
        h = a @ v
        y = h @ self.w_o.data
        self.save_for_backward(x, q, k, v, a, h)
        return y

    def backward(self, grad_output):
        x, q, k, v, a, h = self.saved()
        scale = 1 / np.sqrt(self.size).astype(x.dtype)
        self.w_o.grad += np.einsum("ntd,ntc->dc", h, grad_output)
        d_h = grad_output @ self.w_o.data.T
        d_v = a.transpose(0, 2, 1) @ d_h
        d_a = d_h @ v.transpose(0, 2, 1)
        d_z = a * (d_a - (d_a * a).sum(axis=-1, keepdims=True))
        d_q = d_z @ k * scale
        d_k = d_z.transpose(0, 2, 1) @ q * scale
        self.w_q.grad += np.einsum("ntc,ntd->cd", x, d_q)
        self.w_k.grad += np.einsum("ntc,ntd->cd", x, d_k)
        self.w_v.grad += np.einsum("ntc,ntd->cd", x, d_v)
        return d_q @ self.w_q.data.T + d_k @ self.w_k.data.T + d_v @ self.w_v.data.T


class CausalMean(nn.Layer):
    """Weights softmax(w_{s}) over the steps up to t: y_t = Σ_{s≤t} a_ts x_s."""

    def __init__(self, steps):
        self.steps = steps
        self.score = nn.Parameter(weights(steps, steps))

    def forward(self, x):
        future = np.triu(np.ones((self.steps, self.steps), bool), 1)
        a = softmax(np.where(future, -1e9, self.score.data))
        y = a @ x
        self.save_for_backward(x, a)
        return y

    def backward(self, grad_output):
        x, a = self.saved()
        d_a = np.einsum("ntc,nsc->ts", grad_output, x)
        self.score.grad += a * (d_a - (a * d_a).sum(axis=-1, keepdims=True))
        return a.T @ grad_output


class Elman(nn.Layer):
    """h_t = tanh(x_t W + h_{t−1} U + b), all states as output."""

    def __init__(self, inputs, hidden):
        self.inputs, self.hidden = inputs, hidden
        self.w = nn.Parameter(weights(inputs, hidden, seed=1))
        self.u = nn.Parameter(weights(hidden, hidden, seed=2))
        self.b = nn.Parameter(weights(hidden, seed=3))

    def forward(self, x):
        n, steps = x.shape[:2]
        h = np.zeros((n, steps + 1, self.hidden), x.dtype)  # h[:, 0] is the start
        for t in range(steps):
            h[:, t + 1] = np.tanh(x[:, t] @ self.w.data + h[:, t] @ self.u.data + self.b.data)
        self.save_for_backward(x, h)
        return h[:, 1:].copy()

    def backward(self, grad_output):
        x, h = self.saved()
        steps = x.shape[1]
        d_x = np.zeros_like(x)
        d_next = np.zeros_like(h[:, 0])
        for t in reversed(range(steps)):
            d_h = grad_output[:, t] + d_next
            d_a = d_h * (1 - h[:, t + 1] ** 2)
            self.w.grad += x[:, t].T @ d_a
            self.u.grad += h[:, t].T @ d_a
            self.b.grad += d_a.sum(axis=0)
            d_x[:, t] = d_a @ self.w.data.T
            d_next = d_a @ self.u.data.T
        return d_x


class Gru(nn.Layer):
    """r, z gates and candidate n: h = (1 − z) n + z h; the last state as output."""

    def __init__(self, inputs, hidden):
        self.inputs, self.hidden = inputs, hidden
        self.w_r, self.w_z, self.w_n = (
            nn.Parameter(weights(inputs, hidden, seed=seed)) for seed in (1, 2, 3)
        )
        self.u_r, self.u_z, self.u_n = (
            nn.Parameter(weights(hidden, hidden, seed=seed)) for seed in (4, 5, 6)
        )

    def forward(self, x):
        h = np.zeros((len(x), self.hidden), x.dtype)
        steps = []
        for t in range(x.shape[1]):
            r = sigmoid(x[:, t] @ self.w_r.data + h @ self.u_r.data)
            z = sigmoid(x[:, t] @ self.w_z.data + h @ self.u_z.data)
            n = np.tanh(x[:, t] @ self.w_n.data + (r * h) @ self.u_n.data)
            steps.append((h, r, z, n))
            h = (1 - z) * n + z * h
        self.save_for_backward(x, steps)
        return h

    def backward(self, grad_output):
        x, steps = self.saved()
        d_x = np.zeros_like(x)
        d_h = grad_output
        for t in reversed(range(x.shape[1])):
            h, r, z, n = steps[t]
            d_n = d_h * (1 - z) * (1 - n**2)
            d_z = d_h * (h - n) * z * (1 - z)
            d_rh = d_n @ self.u_n.data.T
            d_r = d_rh * h * r * (1 - r)
            self.w_r.grad += x[:, t].T @ d_r
            self.w_z.grad += x[:, t].T @ d_z
            self.w_n.grad += x[:, t].T @ d_n
            self.u_r.grad += h.T @ d_r
            self.u_z.grad += h.T @ d_z
            self.u_n.grad += (r * h).T @ d_n
            d_x[:, t] = d_r @ self.w_r.data.T + d_z @ self.w_z.data.T + d_n @ self.w_n.data.T
            d_h = d_h * z + d_rh * r + d_r @ self.u_r.data.T + d_z @ self.u_z.data.T
        return d_x


class Lstm(nn.Layer):
    """Gates i, f, g, o side by side in one matrix; all states as output."""

    def __init__(self, inputs, hidden):
        self.inputs, self.hidden = inputs, hidden
        self.w = nn.Parameter(weights(inputs, 4 * hidden, seed=1))
        self.u = nn.Parameter(weights(hidden, 4 * hidden, seed=2))
        self.b = nn.Parameter(weights(4 * hidden, seed=3))

    def forward(self, x):
        h = np.zeros((len(x), self.hidden), x.dtype)
        c = np.zeros_like(h)
        steps, outputs = [], []
        for t in range(x.shape[1]):
            a = x[:, t] @ self.w.data + h @ self.u.data + self.b.data
            i, f, g, o = np.split(a, 4, axis=1)
            i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
            c_new = f * c + i * g
            steps.append((h, c, i, f, g, o, c_new))
            c = c_new
            h = o * np.tanh(c)
            outputs.append(h)
        self.save_for_backward(x, steps)
        return np.stack(outputs, axis=1)

    def backward(self, grad_output):
        x, steps = self.saved()
        d_x = np.zeros_like(x)
        d_h = np.zeros_like(steps[0][0])
        d_c = np.zeros_like(d_h)
        for t in reversed(range(x.shape[1])):
            h, c, i, f, g, o, c_new = steps[t]
            d_h = d_h + grad_output[:, t]
            tanh_c = np.tanh(c_new)
            d_o = d_h * tanh_c * o * (1 - o)
            d_c = d_c + d_h * o * (1 - tanh_c**2)
            d_i = d_c * g * i * (1 - i)
            d_f = d_c * c * f * (1 - f)
            d_g = d_c * i * (1 - g**2)
            d_a = np.concatenate([d_i, d_f, d_g, d_o], axis=1)
            self.w.grad += x[:, t].T @ d_a
            self.u.grad += h.T @ d_a
            self.b.grad += d_a.sum(axis=0)
            d_x[:, t] = d_a @ self.w.data.T
            d_h = d_a @ self.u.data.T
            d_c = d_c * f
        return d_x


# -- noise, containers --------------------------------------------------------------------------


class Dropout(nn.Layer):
    def __init__(self, p=0.5):
        self.p = p
        self.rng = np.random.default_rng(0)

    def forward(self, x):
        mask = None
        if self.training:
            mask = (self.rng.random(x.shape) >= self.p).astype(x.dtype) / (1 - self.p)
        self.save_for_backward(mask)
        return x.copy() if mask is None else x * mask

    def backward(self, grad_output):
        (mask,) = self.saved()
        return grad_output if mask is None else grad_output * mask


class Chain(nn.Layer):
    def __init__(self, *layers):
        self.layers = layers

    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        self.save_for_backward()
        return x

    def backward(self, grad_output):
        self.saved()
        for layer in reversed(self.layers):
            grad_output = layer.backward(grad_output)
        return grad_output


class Sum(nn.Layer):
    """y = f(x) + g(x)."""

    def __init__(self, first, second):
        self.first, self.second = first, second

    def forward(self, x):
        y = self.first.forward(x) + self.second.forward(x)
        self.save_for_backward()
        return y

    def backward(self, grad_output):
        self.saved()
        return self.first.backward(grad_output) + self.second.backward(grad_output)


class Product(nn.Layer):
    """y = f(x) ⊙ g(x)."""

    def __init__(self, first, second):
        self.first, self.second = first, second

    def forward(self, x):
        a, b = self.first.forward(x), self.second.forward(x)
        self.save_for_backward(a, b)
        return a * b

    def backward(self, grad_output):
        a, b = self.saved()
        return self.first.backward(grad_output * b) + self.second.backward(grad_output * a)


class SideBySide(nn.Layer):
    """y = [f(x), g(x)], with n features from f."""

    def __init__(self, first, second):
        self.first, self.second = first, second

    def forward(self, x):
        a, b = self.first.forward(x), self.second.forward(x)
        self.save_for_backward(a.shape[-1])
        return np.concatenate([a, b], axis=-1)

    def backward(self, grad_output):
        (n,) = self.saved()
        d_x = self.first.backward(grad_output[..., :n])
        return d_x + self.second.backward(grad_output[..., n:])


# -- losses -------------------------------------------------------------------------------------


class SquaredError(nn.Loss):
    def __call__(self, prediction, target, sample_weight=None):
        d = prediction - target
        w = np.ones(len(d), d.dtype) if sample_weight is None else np.asarray(sample_weight)
        w = w.astype(d.dtype).reshape(-1, *[1] * (d.ndim - 1)) * np.ones_like(d)
        self.denominator = float(w.sum())
        self.save_for_backward(d, w)
        return float((w * d**2).sum() / self.denominator)

    def backward(self):
        d, w = self.saved()
        return 2 * w * d / self.denominator


class AbsoluteError(nn.Loss):
    def function(self, prediction, target):
        d = prediction - target
        return np.abs(d), d

    def derivative(self, d):
        return np.sign(d)


class Huber(nn.Loss):
    def function(self, prediction, target):
        d = prediction - target
        return np.where(np.abs(d) <= 1, 0.5 * d**2, np.abs(d) - 0.5), d

    def derivative(self, d):
        return np.where(np.abs(d) <= 1, d, np.sign(d))


class BinaryCrossEntropy(nn.Loss):
    def function(self, p, target):
        return -target * np.log(p) - (1 - target) * np.log(1 - p), p, target

    def derivative(self, p, target):
        return -target / p + (1 - target) / (1 - p)


class LogitCrossEntropy(nn.Loss):
    def function(self, z, target):
        return np.log1p(np.exp(-np.abs(z))) + np.maximum(z, 0) - target * z, z, target

    def derivative(self, z, target):
        return sigmoid(z) - target


class CrossEntropy(nn.Loss):
    """Of logits (N, C) and classes (N,)."""

    def __call__(self, prediction, target, sample_weight=None):
        p = softmax(prediction)
        rows = np.arange(len(p))
        w = np.ones(len(p), p.dtype) if sample_weight is None else np.asarray(sample_weight)
        self.denominator = float(w.sum())
        self.save_for_backward(p, target, w.astype(p.dtype))
        return float(-(w * np.log(p[rows, target])).sum() / self.denominator)

    def backward(self):
        p, target, w = self.saved()
        d_z = p.copy()
        d_z[np.arange(len(p)), target] -= 1
        return d_z * w[:, None] / self.denominator


class PoissonLoss(nn.Loss):
    def function(self, log_rate, target):
        return np.exp(log_rate) - target * log_rate, log_rate, target

    def derivative(self, log_rate, target):
        return np.exp(log_rate) - target


class QuantileLoss(nn.Loss):
    def function(self, prediction, target):
        d = target - prediction
        return np.maximum(0.8 * d, -0.2 * d), d

    def derivative(self, d):
        return np.where(d > 0, -0.8, 0.2).astype(d.dtype)


class FocalLoss(nn.Loss):
    """(1 − p)² (−log p) of the true side, from probabilities and targets 0 and 1."""

    def function(self, p, target):
        q = np.where(target > 0.5, p, 1 - p)
        return -((1 - q) ** 2) * np.log(q), q, target

    def derivative(self, q, target):
        d_q = 2 * (1 - q) * np.log(q) - (1 - q) ** 2 / q
        return np.where(target > 0.5, d_q, -d_q)


class DiceLoss(nn.Loss):
    """1 − 2 Σ p t / (Σ p + Σ t), one number for the batch."""

    def __call__(self, prediction, target, sample_weight=None):
        overlap, total = (prediction * target).sum(), prediction.sum() + target.sum()
        self.save_for_backward(prediction, target, overlap, total)
        return float(1 - 2 * overlap / total)

    def backward(self):
        p, target, overlap, total = self.saved()
        return -2 * target / total + 2 * overlap / total**2 * np.ones_like(p)


# -- what they are tried on ---------------------------------------------------------------------


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def positive(*shape):
    return np.random.default_rng(0).uniform(0.4, 2.5, shape)


TOKENS = np.array([[1, 3, 3, 0], [2, 1, 3, 5], [4, 4, 0, 1]])

# a layer's constructor arguments, and an input
EXAMPLES = {
    Dense: ((4, 3), normal(5, 4)),
    DenseOverTime: ((4, 2), normal(3, 5, 4)),
    TwoLayers: ((3, 4, 2), normal(6, 3)),
    ScaleShift: ((4,), normal(6, 4)),
    TiedAutoencoder: ((4, 2), normal(5, 4)),
    LowRank: ((4, 2), normal(5, 4)),
    Bilinear: ((3, 2), normal(4, 3)),
    Relu: ((), normal(5, 4)),
    Leaky: ((), normal(5, 4)),
    LearnedSlope: ((4,), normal(6, 4)),
    Sigmoid: ((), normal(5, 4)),
    Tanh: ((), normal(5, 4)),
    Silu: ((), normal(5, 4)),
    Gelu: ((), normal(5, 4)),
    Softplus: ((), normal(5, 4)),
    Elu: ((), normal(5, 4)),
    Square: ((), normal(5, 4)),
    Cube: ((), normal(5, 4)),
    Sqrt: ((), positive(5, 4)),
    Reciprocal: ((), positive(5, 4)),
    Log: ((), positive(5, 4)),
    Exp: ((), normal(5, 4)),
    Sine: ((4,), normal(6, 4)),
    Swish: ((), normal(5, 4)),
    Clip: ((), normal(6, 4)),
    Softmax: ((), normal(5, 4)),
    LogSoftmax: ((), normal(5, 4)),
    Temperature: ((), normal(5, 4)),
    Glu: ((), normal(5, 6)),
    Highway: ((3,), normal(5, 3)),
    ResidualBlock: ((4,), normal(5, 4)),
    SqueezeExcite: ((3,), normal(4, 5, 3)),
    Maxout: ((4, 3), normal(6, 4)),
    Experts: ((4, 3), normal(5, 4)),
    Rbf: ((3, 4), normal(5, 3)),
    LayerNorm: ((4,), normal(6, 4)),
    BatchNorm: ((4,), normal(6, 4)),
    RmsNorm: ((4,), normal(6, 4)),
    UnitLength: ((), normal(5, 4)),
    GroupNorm: ((2,), normal(5, 6)),
    Center: ((), normal(5, 4)),
    WeightNorm: ((4, 3), normal(5, 4)),
    Conv1d: ((2, 3, 3, 2, 1), normal(3, 7, 2)),
    Conv2d: ((2, 3), normal(2, 5, 4, 2)),
    Depthwise: ((3,), normal(2, 6, 3)),
    MaxPool1d: ((), normal(2, 6, 3)),
    MaxPool2d: ((), normal(2, 4, 6, 3)),
    AvgPool1d: ((), normal(2, 6, 3)),
    GlobalMean: ((), normal(2, 3, 4, 3)),
    GlobalMax: ((), normal(3, 5, 2)),
    Upsample: ((), normal(2, 4, 3)),
    Flatten: ((), normal(2, 4, 3)),
    SwapAxes: ((), normal(2, 4, 3)),
    Roll: ((), normal(3, 5)),
    Cumsum: ((), normal(3, 5, 2)),
    Difference: ((), normal(3, 5, 2)),
    Powers: ((), normal(5, 3)),
    Gather: (([0, 2, 2, 3],), normal(5, 4)),
    Embedding: ((6, 3), TOKENS),
    Positions: ((4, 3), normal(3, 4, 3)),
    Attention: ((4, 3), normal(2, 5, 4)),
    CausalMean: ((5,), normal(3, 5, 2)),
    Elman: ((3, 4), normal(2, 5, 3)),
    Gru: ((3, 4), normal(3, 4, 3)),
    Lstm: ((3, 4), normal(2, 4, 3)),
    Dropout: ((), normal(6, 5)),
}

# containers: a factory of the arguments
PARTS = {
    Chain: (lambda: (Dense(4, 3), Tanh(), Dense(3, 2)), normal(5, 4)),
    Sum: (lambda: (Dense(4, 3), TwoLayers(4, 2, 3)), normal(5, 4)),
    Product: (lambda: (Dense(4, 3), TwoLayers(4, 2, 3)), normal(5, 4)),
    SideBySide: (lambda: (Dense(4, 3), TwoLayers(4, 2, 2)), normal(5, 4)),
}

# a loss's prediction and target
PAIRS = {
    SquaredError: (normal(6, 2), normal(6, 2, seed=1)),
    AbsoluteError: (normal(6, 2), normal(6, 2, seed=1)),
    Huber: (2 * normal(6, 2), normal(6, 2, seed=1)),
    BinaryCrossEntropy: (sigmoid(normal(6, 2)), (normal(6, 2, seed=1) > 0) * 1.0),
    LogitCrossEntropy: (normal(6, 2), (normal(6, 2, seed=1) > 0) * 1.0),
    CrossEntropy: (normal(6, 4), np.array([0, 3, 1, 1, 2, 0])),
    PoissonLoss: (normal(6, 2), np.arange(12.0).reshape(6, 2) % 4),
    QuantileLoss: (normal(6, 2), normal(6, 2, seed=1)),
    FocalLoss: (sigmoid(normal(6, 2)), (normal(6, 2, seed=1) > 0) * 1.0),
    DiceLoss: (sigmoid(normal(6, 2)), (normal(6, 2, seed=1) > 0) * 1.0),
}
