"""PyTorch's own samples of its modules, `module_db`: how many nnlite has, and that they agree.

    pytest -m slow tests/reference/test_module_db.py -rP

A sample is a module's arguments and its inputs, in training or in eval mode. It is expressed when
layers and losses of nnlite compute the same with the module's weights; it is equal when the
outputs are, and all gradients: of the inputs (of a loss: of its predictions, for nnlite has no
gradients of targets), and of each weight.

nnlite's layers are called in between PyTorch's operations here, see `Ours`. So what only moves
numbers around, from PyTorch's layouts to nnlite's, is written in PyTorch, which also brings the
gradients back: `w.T`, channels to the last axis, a batch of one for samples without batch axis.
"""

import collections
import functools
import inspect
import textwrap

import numpy as np
import pytest

import nnlite as nn

torch = pytest.importorskip("torch")
from torch.utils._pytree import tree_flatten, tree_unflatten  # noqa: E402

from .attention import (  # noqa: E402
    ATTENTION,
    DECODER_NORM_FIRST,
    DECODER_NORM_LAST,
    NORM_FIRST,
    NORM_LAST,
)

AT_LEAST = 1600

# What nnlite does not have: classes by why.
WITHOUT = {
    "there are no layers for volumes, (N, D, H, W, C)": """
        AdaptiveAvgPool3d AdaptiveMaxPool3d AvgPool3d FractionalMaxPool3d LPPool3d MaxPool3d
        CircularPad3d ConstantPad3d ReflectionPad3d ReplicationPad3d ZeroPad3d
        Conv3d ConvTranspose3d""",
    "there is no pooling over windows of random sizes": "FractionalMaxPool2d",
    "there is no layer of this kind": "Bilinear",
}
MISSING = {name: reason for reason, names in WITHOUT.items() for name in names.split()}


class Missing(Exception):
    """What nnlite does not have, of a sample."""


# -- nnlite among PyTorch's operations -------------------------------------------------------------


class Ours(torch.autograd.Function):
    """`run(*arrays)` as an operation on tensors.

    It returns (outputs, back), and `back` is called with the outputs' gradients and returns those
    of the arrays. What is no float has no gradient.
    """

    @staticmethod
    def forward(ctx, run, *tensors):
        outputs, ctx.back = run(*(t.detach().numpy() for t in tensors))
        outputs = [torch.tensor(y) for y in outputs]
        ctx.mark_non_differentiable(*(y for y in outputs if not y.is_floating_point()))
        return tuple(outputs)

    @staticmethod
    def backward(ctx, *gradients):
        found = ctx.back(*(g.numpy() for g in gradients))
        return None, *(d if d is None else torch.tensor(d) for d in found)


def call(layer, *arguments, weights=()):
    """`layer(*arguments)` with these weights, which are in the order of its parameters."""
    layer = layer.astype(np.float64)
    parameters = layer.parameters()
    inputs, structure = tree_flatten(arguments)
    shape_of_output = None

    def run(*arrays):
        nonlocal shape_of_output
        for parameter, value in zip(parameters, arrays[len(inputs) :], strict=True):
            parameter.data = value
        y = layer.forward(*tree_unflatten(arrays[: len(inputs)], structure))
        outputs, shape_of_output = tree_flatten(y)
        return outputs, back

    def back(*gradients):
        d_inputs, _ = tree_flatten(layer.backward(tree_unflatten(gradients, shape_of_output)))
        return *d_inputs, *(parameter.grad for parameter in parameters)

    return tree_unflatten(Ours.apply(run, *inputs, *weights), shape_of_output)


def measure(loss, prediction, target):
    """`loss(prediction, target)`; the prediction may be a tuple."""
    inputs, structure = tree_flatten(prediction)

    def run(*arrays):
        value = loss(tree_unflatten(arrays, structure), target.numpy())
        return [np.asarray(value)], back

    def back(gradient):
        each = loss.reduction == "none"
        found, _ = tree_flatten(loss.backward(gradient) if each else loss.backward())
        return found if each else [d * gradient for d in found]

    return Ours.apply(run, *inputs)[0]


# What is called otherwise: nnlite's classes by PyTorch's names, PyTorch's options by nnlite's.
NAMES = {"L1Loss": "MAELoss", "Hardswish": "HardSwish", "Hardtanh": "HardTanh"}
OPTIONS = {
    "affine": "elementwise_affine",
    "axis": "dim",
    "d_model": "embed_dim",
    "num_features": "normalized_shape",
}


def same(module, name=None, **changed):
    """nnlite's layer or loss with the module's options: they are its attributes."""
    name = name or type(module).__name__
    cls, options = getattr(nn, NAMES.get(name, name)), {}
    for option in inspect.signature(cls).parameters:
        their = option if hasattr(module, option) else OPTIONS.get(option, option)
        if hasattr(module, their):
            value = getattr(module, their)
            if option == "bias":
                value = value is not None and value is not False
            elif isinstance(value, torch.Tensor):  # the weights of classes
                value = value.numpy()
                if value.min() < 0:
                    raise Missing("weights below 0 are refused")
            options[option] = value
    layer = cls(**options | changed)
    return layer.train(module.training) if isinstance(layer, nn.Layer) else layer


def weights_of(module, *names):
    """The module's weights of these names, or all; those of products turned to (in, out)."""
    named = dict(module.named_parameters())
    found = [named[name] for name in names or named if name in named]
    return [w.T if w.ndim == 2 else w for w in found]


# -- layers ----------------------------------------------------------------------------------------


def with_numbers(function):
    """The function of arrays for single numbers as well."""

    def run(module, x, *target):
        if x.ndim:
            return function(module, x, *target)
        return function(module, *(each.reshape(1, 1) for each in (x, *target))).reshape(())

    return run


def with_rows(function):
    """The function of batches, (N, …), for a row alone as well."""

    def run(module, input, *target):  # as `Linear` calls it
        if input.ndim > 1:
            return function(module, input, *target)
        y = function(module, *(each[None] for each in (input, *target)))
        return y[0] if y.ndim else y

    return run


def as_it_is(module, x):
    return call(same(module), x, weights=weights_of(module))


def channels_last(layer, x, weights=()):
    y = call(layer, x.movedim(1, -1), weights=weights)
    return [each.movedim(-1, 1) for each in y] if isinstance(y, tuple) else y.movedim(-1, 1)


def with_maps(function):
    """The function of (N, C, …) for (C, …) as well; the module's name says how many axes."""

    def run(module, x):
        if x.ndim > axes_of(module) + 1:
            return function(module, x)
        y = function(module, x[None])
        return [each[0] for each in y] if isinstance(y, list) else y[0]

    return run


def axes_of(module):
    return int(type(module).__name__[-2])


@with_maps
def spatial(module, x):
    changed = {}
    if getattr(module, "norm_type", 2) % 2 and x.min() < 0:
        raise Missing("powers are those of |x|, where PyTorch's of x are NaN")
    if "Adaptive" in type(module).__name__:  # None is the size that is there
        size = module.output_size
        if isinstance(size, tuple | list):
            changed["output_size"] = tuple(o or i for o, i in zip(size, x.shape[2:], strict=True))
    return channels_last(same(module, **changed), x)


@with_maps
def convolution(module, x):
    to = (-2, -1) if "Transpose" in type(module).__name__ else (-1, -2)
    weights = [w.movedim((0, 1), to) if w.ndim > 1 else w for w in module.parameters()]
    return channels_last(same(module), x, weights)


@with_numbers
def per_channel(module, x):
    """(N, C) or (N, C, …); a row alone has no channels."""
    if x.ndim < 2:
        return as_it_is(module, x)
    return channels_last(same(module), x, weights_of(module))


def norm(module, x):
    """Where the values of a channel are does not matter: volumes are (N, D·H·W, C)."""
    if not len(x):
        raise Missing("an empty batch is refused")
    if axes_of(module) < 3:
        return channels_last(same(module), x, weights_of(module))
    layer = same(module, type(module).__name__.replace("3d", "1d"))
    return channels_last(layer, x.flatten(2), weights_of(module)).reshape(x.shape)


@with_maps
def softmax_2d(module, x):
    return channels_last(nn.Softmax(), x)


@with_numbers
def softplus(module, x):
    if module.threshold < 0:
        raise Missing("there is no threshold from which on y = x: it is exact everywhere")
    return as_it_is(module, x)


def embedding(module, x):
    return call(same(module), x, weights=list(module.parameters()))


# -- sequences -------------------------------------------------------------------------------------


def recurrent(module, x, state=None):
    """(y, h), or (y, h, c)."""
    states, single = [] if state is None else list(unpacked(state)), x.ndim == 2
    if single:
        x, states = x[None], [s[:, None] for s in states]
    elif not module.batch_first:
        x = x.transpose(0, 1)
    y, states = (two_directions if module.bidirectional else one_direction)(module, x, states)
    if single:
        return y[0], *(s[:, 0] for s in states)
    return y if module.batch_first else y.transpose(0, 1), *states


def one_direction(module, x, states):
    weights = [w for level in range(module.num_layers) for w in cell_weights(module, f"_l{level}")]
    given = [packed(states)] if states else []
    y, final = call(same(module, return_state=True), x, *given, weights=weights)
    return y, unpacked(final)


def two_directions(module, x, states):
    """Both go through each layer of the stack before the next one, which reads both."""
    finals = []
    for level in range(module.num_layers):
        layer = same(module, input_size=x.shape[-1], num_layers=1, return_state=True)
        weights = [w for end in ("", "_reverse") for w in cell_weights(module, f"_l{level}{end}")]
        pair = tuple(packed([s[i : i + 1] for s in states]) for i in (2 * level, 2 * level + 1))
        x, pair = call(nn.Bidirectional(layer), x, *[pair] if states else [], weights=weights)
        finals += map(unpacked, pair)
    return x, [torch.cat(each) for each in zip(*finals, strict=True)]


def packed(states):
    """As nnlite takes the states of a cell: one, or (h, c)."""
    return states[0] if len(states) == 1 else tuple(states)


def unpacked(state):
    return (state,) if isinstance(state, torch.Tensor) else state


def cell_weights(module, end=""):
    """Of PyTorch's two biases, nnlite has the sum; in the GRU's last gate they stay apart."""
    named = dict(module.named_parameters())
    weights = [named[f"weight_ih{end}"].T, named[f"weight_hh{end}"].T]
    if module.bias:
        of_input, of_state = named[f"bias_ih{end}"], named[f"bias_hh{end}"]
        if "GRU" in type(module).__name__:
            apart = torch.arange(len(of_state)) >= 2 * module.hidden_size
            weights += [of_input + of_state.masked_fill(apart, 0), of_state[apart]]
        else:
            weights += [of_input + of_state]
    if f"weight_hr{end}" in named:
        weights += [named[f"weight_hr{end}"].T]
    return weights


def cell(module, x, state):
    """One step of a sequence."""
    layer = same(module, type(module).__name__.removesuffix("Cell"), return_state=True)
    state = packed([s[None, None] for s in unpacked(state)])
    _, final = call(layer, x[None, None], state, weights=cell_weights(module))
    return [s[0, 0] for s in unpacked(final)]


# -- attention -------------------------------------------------------------------------------------


def batched(function):
    """The function of (N, T, D) for PyTorch's other layouts, (T, D) and (T, N, D)."""

    def run(module, *inputs, **masks):
        if inputs[0].ndim == 2:  # a mask of one axis says where the only sequence's padding is
            masks = {k: m[None] if m is not None and m.ndim == 1 else m for k, m in masks.items()}
            return function(module, *(x[None] for x in inputs), **masks)[0]
        attentions = (m for m in module.modules() if isinstance(m, torch.nn.MultiheadAttention))
        if next(attentions).batch_first:
            return function(module, *inputs, **masks)
        return function(module, *(x.transpose(0, 1) for x in inputs), **masks).transpose(0, 1)

    return run


def give_mask(layer, query, hidden, padding):
    """Call attention with a mask, (N, heads, T, S), which the containers around do not hand on.

    PyTorch's masks, (T, S) or (heads, T, S) and (N, S), are True where a step must not look.
    """
    seen = torch.tensor(True)
    if hidden is not None:
        seen = seen & ~hidden
    if padding is not None:
        seen = seen & ~padding[:, None, None, :]
    if seen.ndim:
        mask = seen.expand(len(query), layer.num_heads, query.shape[1], -1).numpy()
        layer.forward = functools.partial(layer.forward, mask=mask)


@batched
def attention(module, query, key, value, key_padding_mask=None, attn_mask=None):
    """Its outputs; the weights, PyTorch's second result, are none of nnlite's."""
    learned = module.bias_k is not None
    given = {"bias": module.in_proj_bias is not None, "add_bias_kv": learned}
    layer = same(module, "MultiHeadAttention", **given)
    give_mask(layer, query, attn_mask, key_padding_mask)
    weights = weights_of(module, *(name.removeprefix("self_attn.") for name in ATTENTION))
    weights += [module.bias_k.flatten(), module.bias_v.flatten()] if learned else []
    return call(layer, (query, key, value), weights=weights)


def transformer_layer(module, query, *masks):
    """nnlite's layer of an encoder or decoder, and its weights; for each attention two masks."""
    if isinstance(module, torch.nn.TransformerEncoderLayer):
        cls, orders = nn.TransformerLayer, (NORM_LAST, NORM_FIRST)
    else:
        cls, orders = nn.TransformerDecoderLayer, (DECODER_NORM_LAST, DECODER_NORM_FIRST)
    layer = cls(
        module.self_attn.embed_dim,
        module.self_attn.num_heads,
        module.linear1.out_features,
        norm_first=module.norm_first,
        activation=module.activation.__name__,
        bias=module.linear1.bias is not None,
    )
    inside = [
        part for part in layer.named_layers().values() if isinstance(part, nn.MultiHeadAttention)
    ]
    for each, (hidden, padding) in zip(inside, masks, strict=True):
        give_mask(each, query, hidden, padding)
    return layer, weights_of(module, *orders[module.norm_first])


def final_norm(module):
    """What an encoder or decoder may end in, and its weights."""
    return ([], []) if module.norm is None else ([same(module.norm)], weights_of(module.norm))


@batched
def encoder_layer(module, x, src_mask=None, src_key_padding_mask=None):
    layer, weights = transformer_layer(module, x, (src_mask, src_key_padding_mask))
    return call(layer, x, weights=weights)


def encode(module, x, mask=None, src_key_padding_mask=None):
    layers, weights = [], []
    for each in module.layers:
        layer, own = transformer_layer(each, x, (mask, src_key_padding_mask))
        layers, weights = [*layers, layer], weights + own
    norm, own = final_norm(module)
    return call(nn.Sequential(*layers, *norm), x, weights=weights + own)


encoder = batched(encode)


@batched
def decoder_layer(
    module, x, memory, tgt_mask=None, memory_mask=None, tgt_key_padding_mask=None,
    memory_key_padding_mask=None,
):  # fmt: skip
    masks = (tgt_mask, tgt_key_padding_mask), (memory_mask, memory_key_padding_mask)
    layer, weights = transformer_layer(module, x, *masks)
    return call(layer, (x, memory), weights=weights)


@batched
def transformer(
    module, source, x, src_mask=None, tgt_mask=None, src_key_padding_mask=None,
    tgt_key_padding_mask=None,
):  # fmt: skip
    memory = encode(module.encoder, source, src_mask, src_key_padding_mask)
    layers, weights = [], []
    for each in module.decoder.layers:
        masks = (tgt_mask, tgt_key_padding_mask), (None, None)
        layer, own = transformer_layer(each, x, *masks)
        layers, weights = [*layers, layer], weights + own
    norm, own = final_norm(module.decoder)
    model = nn.Sequential(nn.TransformerDecoder(*layers), *norm)
    return call(model, (x, memory), weights=weights + own)


# -- losses ----------------------------------------------------------------------------------------


def as_usual(module, prediction, target):
    return measure(same(module), prediction, target)


def of_classes(module, logits, target, **changed):
    """Classes are on axis 1, of soft targets too."""
    ignored = getattr(module, "ignore_index", None)
    if target.ndim == logits.ndim:
        target = target.movedim(1, -1)
    elif module.reduction == "mean" and ignored is not None and (target == ignored).all():
        raise Missing("the mean of no rows is 0, in PyTorch NaN")
    return measure(same(module, **changed), logits.movedim(1, -1), target)


@with_rows
def linear_cross_entropy(module, x, target):
    """A `Linear` and a `CrossEntropyLoss`; its scores are (N, C) or (N, C, …)."""
    scores = call(same(module.linear), x, weights=weights_of(module.linear))
    scores = scores.reshape(len(x), module.num_classes, *module.out_features)
    ignored = -100 if module.ignore_index is None else module.ignore_index
    return of_classes(module, scores, target, name="CrossEntropyLoss", ignore_index=ignored)


@with_numbers
def binary(module, prediction, target):
    """A weight for each label is a factor before the mean, whose divisor it does not change."""
    if module.weight is None:
        return as_usual(module, prediction, target)
    return (module.weight * measure(same(module, reduction="none"), prediction, target)).mean()


@with_numbers
def smooth_l1(module, prediction, target):
    """Huber's loss divided by β, its δ."""
    loss = same(module, "HuberLoss", delta=module.beta)
    return measure(loss, prediction, target) / module.beta


@with_numbers
def divergence(module, log_p, target):
    """nnlite's mean is that of rows, "batchmean"; PyTorch's "mean" is that of all values."""
    if not module.log_target and (target < 0).any():
        raise Missing("targets below 0 are refused")
    if module.reduction == "mean":
        return measure(same(module, reduction="sum"), log_p, target) / log_p.numel()
    reduction = module.reduction.removeprefix("batch")
    return measure(same(module, reduction=reduction), log_p, target)


def of_two(module, first, second, target):
    if (target == 0).any():
        raise Missing("targets are −1 and 1; others are refused")
    return measure(same(module), (first, second), target)


def gaussian(module, mean, target, variance):
    return measure(same(module), (mean, variance), target)


def ctc(module, log_p, target, frames, lengths):
    """PyTorch's gradient is that of the scores before `LogSoftmax`, which changes no log p.

    Frames are all there; labels after a row's last one are −1 in nnlite.
    """
    assert set(map(int, frames)) == {len(log_p)}
    lengths = [int(length) for length in lengths]
    rows = list(target) if target.ndim == 2 else target.split(lengths)
    rows = [row[:length] for row, length in zip(rows, lengths, strict=True)]
    labels = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1)
    return measure(same(module), call(nn.LogSoftmax(), log_p.transpose(0, 1)), labels)


# -- the table -------------------------------------------------------------------------------------


HOW = {
    with_numbers(as_it_is): """
        CELU ELU GELU GLU Hardshrink Hardswish Hardtanh LeakyReLU LogSigmoid LogSoftmax Mish ReLU
        ReLU6 SELU Sigmoid SiLU Softmax Softmin Softshrink Softsign Tanh Tanhshrink Threshold
        LayerNorm RMSNorm""",
    with_rows(as_it_is): "Linear",
    softplus: "Softplus",
    softmax_2d: "Softmax2d",
    embedding: "Embedding",
    per_channel: "GroupNorm LocalResponseNorm PReLU",
    norm: "BatchNorm1d BatchNorm2d BatchNorm3d",
    with_maps(norm): "InstanceNorm1d InstanceNorm2d InstanceNorm3d",
    spatial: """
        AdaptiveAvgPool1d AdaptiveMaxPool1d AvgPool1d LPPool1d MaxPool1d
        AdaptiveAvgPool2d AdaptiveMaxPool2d AvgPool2d LPPool2d MaxPool2d
        CircularPad1d ConstantPad1d ReflectionPad1d ReplicationPad1d ZeroPad1d
        CircularPad2d ConstantPad2d ReflectionPad2d ReplicationPad2d ZeroPad2d""",
    convolution: "Conv1d Conv2d ConvTranspose1d ConvTranspose2d",
    recurrent: "RNN GRU LSTM",
    cell: "RNNCell GRUCell LSTMCell",
    attention: "MultiheadAttention",
    encoder_layer: "TransformerEncoderLayer",
    encoder: "TransformerEncoder",
    decoder_layer: "TransformerDecoderLayer",
    transformer: "Transformer",
    with_numbers(as_usual): """
        HingeEmbeddingLoss HuberLoss L1Loss MSELoss PoissonNLLLoss SoftMarginLoss""",
    with_rows(as_usual): "MultiLabelMarginLoss MultiLabelSoftMarginLoss",
    with_rows(of_classes): "CrossEntropyLoss MultiMarginLoss NLLLoss",
    linear_cross_entropy: "LinearCrossEntropyLoss",
    binary: "BCELoss BCEWithLogitsLoss",
    smooth_l1: "SmoothL1Loss",
    divergence: "KLDivLoss",
    of_two: "CosineEmbeddingLoss MarginRankingLoss",
    gaussian: "GaussianNLLLoss",
    ctc: "CTCLoss",
}
EXPRESSED = {name: function for function, names in HOW.items() for name in names.split()}
TWO_PREDICTIONS = {"CosineEmbeddingLoss", "MarginRankingLoss"}  # and then the target


# -- the samples -----------------------------------------------------------------------------------


@pytest.fixture
def samples(sampling):
    """(name, module, inputs, named inputs) of each, in float64."""
    from torch.testing._internal.common_modules import module_db

    return every_sample(module_db)


def every_sample(module_db):
    for info in module_db:
        torch.manual_seed(0)
        for training in (True, False) if info.train_and_eval_differ else (True,):
            for sample in info.module_inputs_func(
                info, device="cpu", dtype=torch.float64, requires_grad=True, training=training
            ):
                made, given = sample.constructor_input, sample.forward_input
                module = info.module_cls(*made.args, **made.kwargs).train(training)
                yield info.name.removeprefix("nn."), module, list(given.args), given.kwargs


def both(name, module, inputs, named):
    """(what nnlite computes, what PyTorch computes): the outputs, then all gradients.

    A lazy module is an ordinary one after its first call.
    """
    kind = name.removeprefix("Lazy")
    if kind in MISSING:
        raise Missing(MISSING[kind])
    target = 2 if name in TWO_PREDICTIONS else 1
    for k, x in enumerate(inputs):
        if isinstance(x, torch.Tensor):
            wanted = x.is_floating_point() and not (name.endswith("Loss") and k == target)
            inputs[k] = x.detach().requires_grad_(wanted)
    theirs = tensors(module(*inputs, **named))
    if name == "MultiheadAttention":
        del theirs[1]
    ours = tensors(EXPRESSED[kind](module, *inputs, **named))
    leaves = [x for x in tensors((inputs, named)) if x.requires_grad] + list(module.parameters())
    return tuple([y.detach() for y in each] + gradients(each, leaves) for each in (ours, theirs))


def tensors(tree):
    return [leaf for leaf in tree_flatten(tree)[0] if isinstance(leaf, torch.Tensor)]


def gradients(outputs, leaves):
    """Those of a loss in which the outputs' numbers have random weights."""
    outputs = [y for y in outputs if y.requires_grad]
    draws = torch.Generator().manual_seed(1)
    weights = [torch.randn(y.shape, generator=draws) for y in outputs]
    return list(torch.autograd.grad(outputs, leaves, weights, materialize_grads=True))


def equal(first, second):
    """Whether all arrays agree to a billionth of their largest value; NaN is equal to NaN."""
    return len(first) == len(second) and all(
        a.shape == b.shape
        and a.dtype == b.dtype
        and np.allclose(a, b, 0, 1e-9 * np.abs(b[~np.isnan(b)]).max(initial=0), equal_nan=True)
        for a, b in zip((x.numpy() for x in first), (x.numpy() for x in second), strict=True)
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch's advice
def test_the_samples_of_module_db(samples, capsys):
    equals, different = collections.Counter(), []
    missing = collections.defaultdict(collections.Counter)  # by what nnlite does not have
    for name, module, inputs, named in samples:
        try:
            pair = both(name, module, inputs, named)
        except Missing as reason:
            missing[str(reason)][name] += 1
            continue
        if equal(*pair):
            equals[name] += 1
        else:
            different.append((name, module, [tuple(x.shape) for x in tensors(inputs)]))
    expressed = equals.total() + len(different)
    every = expressed + sum(names.total() for names in missing.values())
    with capsys.disabled():
        verdict = f"{len(different)} differ" if different else "all equal"
        print(f"\nmodule_db: {expressed} of {every} samples expressed, {verdict}")
        print(listed("equal", equals))
        for reason, names in missing.items():
            print(listed(f"missing: {reason}", names))
    assert different == []
    assert expressed >= AT_LEAST


def listed(title, names):
    """How many of each, in lines."""
    text = f"{names.total():>5} {title}: " + ", ".join(f"{name} {n}" for name, n in names.items())
    return textwrap.fill(text, 100, subsequent_indent=" " * 6)
