"""What stands in the padding changes no real value, in any row of the case table."""

import copy

import numpy as np
import pytest
from cases import LAYERS, layer_input, layer_of
from cases.attention import Attending
from cases.sequences import Ending

import nnlite as nn

GARBAGE = 1e12
SEQUENCES = {
    name: case
    for name, case in LAYERS.items()
    if len(case.shape) > 1 and not isinstance(case.make(), Attending)  # a mask has one length
}

# Rows that refuse `Padded`, by what the error says to use instead.
REFUSED = {
    r"use data\[\.\.\., None\], \(N, T, 1\)": {  # the features would be time
        "Linear",
        "Linear batch 1",
        "Linear no bias",
        "Linear 1 to 1",
        "Linear initializers",
        "GLU",
        "Sequential",
        "Residual",
        "Residual shortcut",
        "Concat",
        "Concat one",
        "Add",
        "LayerNorm",
        "LayerNorm plain",
        "RMSNorm",
        "RMSNorm plain",
        "GroupNorm rows",
        "BatchNorm1d",
        "BatchNorm1d batch 2",
        "BatchNorm1d plain",
        "BatchNorm1d eval",
        "BatchNorm1d untracked",
        "BatchNorm1d cumulative",
        "Affine",
        "WeightNorm",
        "SpectralNorm eval",
        "SpectralNorm axis eval",
        "LocalResponseNorm alone",
        "LocalResponseNorm wide",
    },
    "[Uu]se LastStep, MeanOverTime, GlobalMaxPool1d or GlobalAvgPool1d": {
        "Flatten",
        "Reshape",
        "Reshape inferred",
        "Permute",
        "GLU axis",
        "LayerNorm axes no bias",
        "LayerNorm axes plain",
        "RMSNorm axes",
        "Sequential nested",
    },
    "use LayerNorm, which takes each time step by itself, or BatchNorm1d": {
        "GroupNorm",
        "GroupNorm one",
        "GroupNorm each",
        "GroupNorm blocks",
        "GroupNorm no bias",
        *(n for n in LAYERS if n.startswith("InstanceNorm1d")),
    },
    "use LayerNorm, which takes each place by itself, or BatchNorm2d": {
        "InstanceNorm2d",
        "InstanceNorm2d affine",
        "InstanceNorm2d eps",
        "InstanceNorm2d tracking",
    },
    "use GlobalAvgPool1d, or AvgPool1d": {n for n in LAYERS if n.startswith("AdaptiveAvgPool1d")},
    "use GlobalMaxPool1d, or MaxPool1d": {n for n in LAYERS if n.startswith("AdaptiveMaxPool1d")},
    "use GlobalMaxPool2d, or MaxPool2d": {n for n in LAYERS if n.startswith("AdaptiveMaxPool2d")},
    "return_indices does not go with Padded": {n for n in LAYERS if n.startswith("MaxUnpool")},
    "use GlobalAvgPool2d, or AvgPool2d": {
        "AdaptiveAvgPool2d",
        "AdaptiveAvgPool2d uneven",
        "AdaptiveAvgPool2d larger",
    },
    r"expected \(N, T, …, 2K\)": {"GaussianSample", "GaussianSample eval"},
    "use ConvTranspose1d": {n for n in LAYERS if n.startswith("Upsample1d")},
    "use ConvTranspose2d": {n for n in LAYERS if n.startswith("Upsample2d")},
    "use the padding argument of Conv1d": {n for n in LAYERS if "Pad1d" in n},
    "use the padding argument of Conv2d": {n for n in LAYERS if "Pad2d" in n},
    "sequence 0 is too short: of its [36] time steps": {  # and would be, alone
        "Conv2d whole image",
        "MaxPool2d whole",
    },
}
TAKEN = {
    name: case for name, case in SEQUENCES.items() if not any(name in r for r in REFUSED.values())
}


def rows(cases):
    return pytest.mark.parametrize(("name", "case"), cases.items(), ids=cases.keys())


def padded_layer(case):
    """The row's layer, without what gives it lengths of its own."""
    layer = layer_of(case)
    return layer.layer if isinstance(layer, Ending) else layer


def padded_input(case):
    """The row's input as sequences of several lengths, with garbage in the padding."""
    data = layer_input(case)
    count, steps = data.shape[:2]
    lengths = np.maximum(steps - 1 - np.arange(count), 1)
    if count > 1:
        lengths[-1] = steps
    return with_garbage(nn.Padded(data, lengths), GARBAGE)


def with_garbage(x, value):
    data = x.data.copy()
    data[~x.mask] = value
    return nn.Padded(data, x.lengths)


def real(values, x):
    """The values in an array (N, T, …) that belong to the sequences of x."""
    return values[x.mask]


def run(layer, x):
    """(y, dL/dy, dL/dx, parameter gradients), G zero where a loss would have no weight."""
    layer.zero_grad()
    y = x.through(layer)
    g = np.random.default_rng(1).standard_normal(y.shape)
    if isinstance(y, nn.Padded):
        g[~y.mask] = 0
    d_x = layer.backward(g)
    return y, g, d_x, [p.grad.copy() for p in layer.parameters()]


def is_random(name):
    drawing = "dropout" in name.lower() or name.startswith("RReLU")
    noisy = name in ("GaussianNoise", "GaussianSample beta")
    return (drawing and "eval" not in name) or noisy


def over_batch(case):
    return isinstance(case.make(), nn.BatchNorm1d | nn.BatchNorm2d) and case.training


@pytest.mark.parametrize(
    ("words", "name"), [(words, name) for words, names in REFUSED.items() for name in sorted(names)]
)
def test_what_refuses_says_what_to_use(words, name):
    layer, x = padded_layer(SEQUENCES[name]), padded_input(SEQUENCES[name])
    with pytest.raises(ValueError, match=words):
        x.through(layer)


@rows(TAKEN)
def test_garbage_in_the_padding_changes_nothing(name, case):
    layer, x = padded_layer(case), padded_input(case)
    twin = copy.deepcopy(layer)
    y, _, d_x, grads = run(layer, x)
    again, _, d_again, grads_again = run(twin, with_garbage(x, -3.0))
    if isinstance(y, nn.Padded):
        np.testing.assert_array_equal(y.lengths, again.lengths)
        y, again = real(y.data, y), real(again.data, again)
    np.testing.assert_array_equal(y, again)
    for a, b in zip([d_x, *grads], [d_again, *grads_again], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    assert (d_x[~x.mask] == 0).all()
    for ours, theirs in zip(layer.buffers(), twin.buffers(), strict=True):
        np.testing.assert_array_equal(ours.data, theirs.data)


@rows({n: c for n, c in TAKEN.items() if not is_random(n) and not over_batch(c)})
def test_padded_is_alone(name, case):
    layer, x = padded_layer(case), padded_input(case)
    y, g, d_x, grads = run(layer, x)
    layer.zero_grad()
    close = {"rtol": 1e-10, "atol": 1e-11}
    for n, length in enumerate(x.lengths):
        alone = layer(x.data[n : n + 1, :length])
        steps = slice(None)
        if isinstance(y, nn.Padded):
            steps = slice(y.lengths[n])
            assert alone.shape[1] == y.lengths[n]
        theirs = y.data[n, steps] if isinstance(y, nn.Padded) else y[n]
        np.testing.assert_allclose(theirs, alone[0], **close)
        d_alone = layer.backward(g[n : n + 1][:, steps] if alone.ndim > 1 else g[n : n + 1])
        np.testing.assert_allclose(d_x[n, :length], d_alone[0], **close)
    for p, grad in zip(layer.parameters(), grads, strict=True):
        np.testing.assert_allclose(p.grad, grad, **close)


@rows({name: case for name, case in TAKEN.items() if over_batch(case)})
def test_statistics_over_a_batch_are_those_of_the_real_steps(name, case):
    layer, x = padded_layer(case), padded_input(case)
    twin = copy.deepcopy(layer)
    y, g, d_x, grads = run(layer, x)
    twin.zero_grad()
    np.testing.assert_array_equal(real(y.data, x), twin(real(x.data, x)[None])[0])
    np.testing.assert_array_equal(real(d_x, x), twin.backward(real(g, x)[None])[0])
    for p, grad in zip(twin.parameters(), grads, strict=True):
        np.testing.assert_array_equal(p.grad, grad)
    for ours, theirs in zip(layer.buffers(), twin.buffers(), strict=True):
        np.testing.assert_array_equal(ours.data, theirs.data)


INSIDE_DECIDES = (nn.Sequential, nn.Concat, nn.Add, nn.WeightNorm, nn.SpectralNorm)


def knows_lengths(layer):
    return layer.accepts_padded and not isinstance(layer, INSIDE_DECIDES)


@rows({name: case for name, case in TAKEN.items() if knows_lengths(padded_layer(case))})
def test_layers_that_know_lengths_return_zeros_beyond_and_read_no_gradient_there(name, case):
    layer, x = padded_layer(case), padded_input(case)
    twin = copy.deepcopy(layer)
    y, g, d_x, grads = run(layer, x)
    if isinstance(y, nn.Padded):
        assert (y.data[~y.mask] == 0).all()
        twin.zero_grad()
        x.through(twin)
        g[~y.mask] = 7.0
        np.testing.assert_array_equal(twin.backward(g), d_x)
        for p, grad in zip(twin.parameters(), grads, strict=True):
            np.testing.assert_array_equal(p.grad, grad)


@rows(TAKEN)
def test_dtype_is_kept_with_padding(name, case):
    layer, x = padded_layer(case).astype(np.float32), padded_input(case)
    layer.zero_grad()
    y = nn.Padded(x.data.astype(np.float32), x.lengths).through(layer)
    d_x = layer.backward(np.ones(y.shape, np.float32))
    assert y.dtype == d_x.dtype == np.float32


# -- values known beforehand -----------------------------------------------------------------------

X = nn.Padded(np.array([[[1.0], [3.0], [50.0], [50.0]], [[8.0], [4.0], [6.0], [-2.0]]]), [2, 4])


def test_statistics_over_the_real_steps():
    x = nn.Padded(np.array([[[2.0], [5.0], [0.0]], [[7.0], [0.0], [0.0]]]), [2, 1])
    norm = nn.BatchNorm1d(1, momentum=1.0).astype(np.float64)
    nn.Sequential(norm)(x)
    assert norm.running_mean.data[0] == pytest.approx(14 / 3)  # with the padding it would be 7/3
    assert norm.running_var.data[0] == pytest.approx(np.var([2, 5, 7], ddof=1))
    with pytest.raises(ValueError, match="training mode needs more than one value per channel"):
        nn.Sequential(norm)(nn.Padded(np.ones((1, 3, 1)), [1]))


@pytest.mark.parametrize(
    ("layer", "rows"),
    [
        (nn.GlobalMaxPool1d(), [3, 8]),
        (nn.GlobalAvgPool1d(), [2, 4]),
        (nn.MeanOverTime(), [2, 4]),
        (nn.LastStep(), [3, -2]),
        (nn.MaxPool1d(2), [[3, 0], [8, 6]]),
        (nn.MaxPool1d(3, 1, padding=1), [[3, 3, 0, 0], [8, 8, 6, 6]]),
        (nn.MaxPool1d(3, ceil_mode=True), [[3, 0], [8, -2]]),
        (nn.AvgPool1d(2), [[2, 0], [6, 2]]),
        (nn.AvgPool1d(3, ceil_mode=True), [[2, 0], [6, -2]]),
        (nn.AvgPool1d(2, 2, 1), [[0.5, 1.5, 0], [4, 5, -1]]),
        (nn.AvgPool1d(2, 2, 1, count_include_pad=False), [[1, 3, 0], [8, 5, -2]]),
    ],
    ids=repr,
)
def test_pooling_to_the_end(layer, rows):
    y = nn.Sequential(layer)(X)
    y = y.data if isinstance(y, nn.Padded) else y
    np.testing.assert_allclose(y[..., 0], rows)


@pytest.mark.parametrize(
    ("layer", "lengths", "rows"),
    [
        (nn.Conv1d(1, 1, 3, padding="same"), [2, 4], [[4, 4, 0, 0], [12, 18, 8, 4]]),
        (nn.Conv1d(1, 1, 2, stride=2), [1, 2], [[4, 0], [12, 4]]),
        (nn.Conv1d(1, 1, 3, padding=(2, 0)), [2, 4], [[1, 4, 0, 0], [8, 12, 18, 8]]),
        (nn.ConvTranspose1d(1, 1, 2), [3, 5], [[1, 4, 3, 0, 0], [8, 12, 10, 4, -2]]),
        (nn.ConvTranspose1d(1, 1, 1, 2), [3, 7], [[1, 0, 3, 0, 0, 0, 0], [8, 0, 4, 0, 6, 0, -2]]),
    ],
    ids=repr,
)
def test_convolutions_to_the_end(layer, lengths, rows):
    layer.weight.data[:], layer.bias.data[:] = 1, 0
    y = nn.Sequential(layer.astype(np.float64))(X)
    np.testing.assert_array_equal(y.lengths, lengths)
    np.testing.assert_allclose(y.data[..., 0], rows, atol=1e-12)


def test_a_softmax_over_time():
    for layer in (nn.Softmax(axis=1), nn.Softmax(axis=-2)):
        p = nn.Sequential(layer)(X).data[..., 0]
        np.testing.assert_allclose(p[0], [1 / (1 + np.e**2), 1 / (1 + np.e**-2), 0, 0])
        np.testing.assert_allclose(p.sum(axis=1), 1)
    log_p = nn.Sequential(nn.LogSoftmax(axis=1))(X).data[..., 0]
    np.testing.assert_allclose(np.exp(log_p[0, :2]).sum(), 1)
    np.testing.assert_array_equal(log_p[0, 2:], 0)
    with pytest.raises(ValueError, match="end at steps of their own; use axis=1"):
        nn.Sequential(nn.Softmax(axis=0))(X)


TOKENS = np.array([[3, 7, 5, 0, 0, 0, 0, 0], [1, 2, 3, 4, 5, 6, 7, 8]])


def token_model(rng=0):
    with_rng = {"rng": rng}
    return nn.Sequential(
        nn.Embedding(9, 4, **with_rng),
        nn.Residual(nn.Sequential(nn.Conv1d(4, 4, 3, padding="same", **with_rng), nn.LayerNorm(4))),
        nn.BatchNorm1d(4),
        nn.MaxPool1d(2),
        nn.Concat(
            nn.Bidirectional(nn.LSTM(4, 3, rng=rng), rng=rng),
            nn.Conv1d(4, 2, 3, padding="same", **with_rng),
        ),
        nn.GlobalMaxPool1d(),
        nn.Linear(8, 2, **with_rng),
    ).astype(np.float64)


def test_a_row_of_tokens_is_as_if_alone():
    model = token_model().eval()
    y = model(nn.Padded(TOKENS, [3, 8]))
    np.testing.assert_allclose(y[:1], model(TOKENS[:1, :3]), rtol=1e-12)
    np.testing.assert_allclose(y[1:], model(TOKENS[1:]), rtol=1e-12)


def test_gradients_through_all_of_it_are_the_slopes():
    assert nn.check_gradients(token_model(), nn.Padded(TOKENS, [3, 8]))


def test_training_does_not_see_the_padding():
    def trained(fill):
        tokens = np.random.default_rng(0).integers(1, 9, (20, 8))
        lengths = np.random.default_rng(1).integers(2, 9, 20)
        x = nn.Padded(tokens, lengths)
        x.data[~x.mask] = fill
        model = token_model()
        trainer = nn.Trainer(
            model, nn.CrossEntropyLoss(), nn.Adam(model.parameters(), lr=0.01), rng=0
        )
        history = trainer.fit(x, tokens[:, 0] % 2, epochs=3, batch_size=8, verbose=False)
        return history["loss"], model.predict(x)

    for ours, theirs in zip(trained(0), trained(5), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_products_of_garbage_do_not_overflow_in_attention():
    layer = nn.MultiHeadAttention(4, 2, rng=0)
    x = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
    x[0, 1:] = 1e30
    y = layer(nn.Padded(x, [1, 3]))
    layer.backward(np.ones_like(y.data))
    assert all(np.isfinite(p.grad).all() for p in layer.parameters())


# -- layers of one's own, joins, and what is refused -----------------------------------------------


class Doubled(nn.Layer):
    """As most layers: says nothing of padding, and treats every step by itself."""

    def forward(self, x):
        assert type(x) is np.ndarray
        self.save_for_backward()
        return 2 * x

    def backward(self, grad_output):
        self.saved()
        return 2 * grad_output


def test_a_layer_that_says_nothing_gets_the_bare_data():
    y = nn.Sequential(Doubled(), nn.Lambda(np.square, lambda g, x: 2 * x * g))(X)
    np.testing.assert_array_equal(y.data, 4 * X.data**2)
    np.testing.assert_array_equal(y.lengths, X.lengths)


def test_a_layer_that_says_nothing_must_keep_the_steps():
    class Pair(Doubled):
        def forward(self, x):
            return super().forward(x), None

    own = "may say accepts_padded = True and read x.data and x.lengths"
    mean = nn.Lambda(lambda x: x.mean(axis=1), lambda g, x: g)
    with pytest.raises(ValueError, match=rf"Lambda.* made \(2, 1\) of Padded .*{own}"):
        nn.Sequential(mean)(X)
    with pytest.raises(ValueError, match=rf"Pair.* made tuple of Padded .*{own}"):
        nn.Sequential(Pair())(X)


def test_a_layer_may_say_that_it_mixes_steps():
    class Backwards(Doubled):
        mixed_axes = (1,)

    with pytest.raises(ValueError, match=r"in Sequential layer 0 › Backwards.* mixes the time"):
        nn.Sequential(Backwards())(X)


def test_branches_must_end_together():
    def ends(*branches):
        return nn.Concat(*branches).astype(np.float64)(X).lengths

    shorter = [nn.Conv1d(1, 2, 2) for _ in range(2)]
    np.testing.assert_array_equal(ends(*shorter), [1, 3])
    rows = nn.Padded(X.data[..., 0], X.lengths)
    first = nn.Lambda(lambda x: x[:, :, 0], lambda g, x: g)
    refused = [
        (nn.Concat(nn.MaxPool1d(2), nn.MaxPool1d(2, ceil_mode=True)), X.data, [3, 4]),
        (nn.Concat(nn.Identity(), nn.Tanh()), rows.data, rows.lengths),
        (nn.Add(nn.LastStep(), first), np.ones((2, 2, 2, 1)), [1, 2]),
    ]
    for layer, data, lengths in refused:
        with pytest.raises(ValueError, match="branches must agree in"):
            layer(nn.Padded(data, lengths))


@pytest.mark.parametrize("layer", [nn.Conv1d(1, 2, 3), nn.MaxPool1d(3), nn.AvgPool1d(3)], ids=repr)
def test_sequences_too_short_for_a_window(layer):
    with pytest.raises(ValueError, match="sequence 0 is too short: of its 2 time steps, no output"):
        nn.Sequential(layer.astype(np.float64))(X)


def test_lengths_of_any_integers():
    """Layers count back from the end, where unsigned numbers would wrap around or become floats."""
    for dtype in (np.uint8, np.uint64):
        unsigned = nn.Padded(X.data, np.array([2, 4], dtype))
        layer = nn.Bidirectional(nn.GRU(1, 2, rng=0), rng=0).astype(np.float64)
        np.testing.assert_array_equal(layer(unsigned).data, layer(X).data)
        with pytest.raises(ValueError, match="sequence 0 is too short"):
            nn.MaxPool1d(4)(unsigned)


@pytest.mark.parametrize("row", [0, (0, 1), None])
def test_padded_sequences_are_picked_by_several(row):
    padded = nn.Padded(np.zeros((2, 3)), [1, 2])
    with pytest.raises(TypeError, match=r"expected a slice or an array of row numbers, got"):
        padded[row]
