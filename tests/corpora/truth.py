"""What is right, found out without nnlite's checker.

A layer's gradient g of ⟨R, f(θ)⟩ is right when, along every direction v, ⟨g, v⟩ is the slope of
that function. Slopes are taken from one side, with five points of `np.longdouble` (whose rounding
is 1e-19 on x86): left and right agree where f is smooth; at a kink the slope that g claims must lie
between the two. Directions are every single value, all values together, and some at random.
"""

import copy

import numpy as np

LONG = np.longdouble
STEP = float(np.finfo(LONG).eps) ** 0.25
LOSS_STEP = float(np.finfo(float).eps) ** 0.2  # a loss returns a float
# (−25 f(0) + 48 f(h) − 36 f(2h) + 16 f(3h) − 3 f(4h)) / 12h = f′(0) + O(h⁴)
STENCIL = np.array([-25, 48, -36, 16, -3], LONG) / 12

TOLERANCE = 1e-8  # of errors: right gradients are at 1e-9 and below, and float32 is at 6e-8
LOSS_TOLERANCE = 1e-6


def long(values):
    values = np.asarray(values)
    return values.astype(LONG) if values.dtype.kind == "f" else values


def slope(function, place, direction, step):
    """The slope of a function of an array in a direction, from the side that step's sign says."""
    h = LONG(step)
    return sum(c * function(place + k * h * direction) for k, c in enumerate(STENCIL)) / h


def directions(place, rng, most=20):
    """Steps in the array's own scale: single values, all together, at random."""
    size = np.abs(place)
    scale = np.where(size > 0, size, size[size > 0].mean() if size.any() else 1).astype(LONG)
    for index in rng.permutation(place.size)[:most]:
        one = np.zeros(place.size, LONG)
        one[index] = 1
        yield one.reshape(place.shape) * scale
    yield scale * 1
    for _ in range(3):
        yield rng.choice([-1, 1], place.shape) * scale


def worst_error(function, place, gradient, along, step=STEP):
    """By how much ⟨gradient, v⟩ leaves the range between the slopes, and the largest slope."""
    errors, slopes = [], []
    with np.errstate(all="ignore"):
        for v in along:
            claimed = (gradient.astype(LONG) * v).sum()
            right, left = slope(function, place, v, step), slope(function, place, v, -step)
            errors.append(max(claimed - max(left, right), min(left, right) - claimed, 0))
            slopes += [abs(left), abs(right), abs(claimed)]
    return float(max(errors)), float(max(slopes))


def relative(errors):
    """{name: (error, slope)} to shares of each one's slope (of the largest where it is 1e-12)."""
    largest = max((size for _, size in errors.values()), default=0) or 1.0
    return {
        name: error / (size if size > 1e-12 * largest else largest)
        for name, (error, size) in errors.items()
    }


def gradients(layer, x, r):
    """The gradients by name that one backward of ⟨R, y⟩ gives (in float64)."""
    layer = copy.deepcopy(layer)
    layer.zero_grad()
    layer.forward(x.copy())
    d_x = layer.backward(r.copy())
    found = {name: p.grad.copy() for name, p in layer.named_parameters().items()}
    if x.dtype.kind == "f":
        found["x"] = d_x
    return found


def layer_errors(layer, x, kinks=False, step=1.0):
    """The worst relative error of each gradient, {"weight": 1e-15, …, "x": …}.

    Where x lies on kinks, single outputs are looked at: each is the largest (or smallest) of some
    smooth functions, so that the gradient of any of them lies between the slopes. Sums do not.
    """
    layer = layer.astype(np.float64)
    x = x.astype(np.float64) if x.dtype.kind == "f" else x
    shape = copy.deepcopy(layer).forward(x.copy()).shape
    rng = np.random.default_rng(11)
    if not kinks:
        return _layer_errors(layer, x, rng.standard_normal(shape), step)
    errors = {}
    for index in rng.permutation(int(np.prod(shape)))[:8]:
        r = np.zeros(shape)
        r.flat[index] = 1
        for name, error in _layer_errors(layer, x, r, step).items():
            errors[name] = max(error, errors.get(name, 0))
    return errors


def _layer_errors(layer, x, r, step):
    rng = np.random.default_rng(7)
    found = gradients(layer, x, r)
    exact = layer.astype(LONG)
    errors = {}
    for name, gradient in found.items():

        def value(place, name=name):
            own = copy.deepcopy(exact)
            if name != "x":
                own.named_parameters()[name].data = place
            return (own.forward(place if name == "x" else long(x)) * r).sum()

        place = long(x) if name == "x" else exact.named_parameters()[name].data.copy()
        if place.dtype.kind != "f":
            continue  # whole numbers have no slope
        if gradient is None or np.shape(gradient) != place.shape:
            errors[name] = (np.inf, 1.0)
        else:
            along = directions(place, rng)
            errors[name] = worst_error(value, place, gradient, along, step * STEP)
    return relative(errors)


def loss_error(loss, prediction, target, sample_weight=None, kinks=False, step=1.0):
    """The worst relative error of a loss's gradient; on kinks, of single values only."""
    rng = np.random.default_rng(7)

    def value(place):
        return LONG(copy.deepcopy(loss)(place, long(target), sample_weight))

    own = copy.deepcopy(loss)
    own(prediction.copy(), target.copy(), sample_weight)
    gradient = own.backward()
    if gradient is None or np.shape(gradient) != prediction.shape:
        return np.inf
    along = list(directions(long(prediction), rng))
    along = along[: prediction.size] if kinks else along
    errors = worst_error(value, long(prediction), gradient, along, step * LOSS_STEP)
    return relative({"prediction": errors})["prediction"]


def broken_promises(layer, x, kinks=False, step=1.0):
    """Which parts of a layer's contract it breaks, beyond the numbers of one backward."""
    layer = layer.astype(np.float64)
    x = x.astype(np.float64) if x.dtype.kind == "f" else x
    broken = []

    def run(own, x, r=None, seed=11):
        own.zero_grad()
        y = own.forward(x)
        r = np.random.default_rng(seed).standard_normal(y.shape) if r is None else r
        d_x = own.backward(r)
        return y, d_x, [p.grad.copy() for p in own.parameters()]

    def same(a, b):
        return (a is None) == (b is None) and (a is None or np.allclose(a, b, 1e-9, 1e-12))

    own, kept = copy.deepcopy(layer), x.copy()
    y = own.forward(kept)
    r = np.random.default_rng(11).standard_normal(y.shape)
    kept_r = r.copy()
    y_before = y.copy()
    d_x = own.backward(kept_r)
    if not np.array_equal(kept, x):
        broken.append("x is modified")
    if not np.array_equal(kept_r, r):
        broken.append("grad_output is modified")
    if not np.array_equal(y, y_before):
        broken.append("y is modified by backward")
    once = [p.grad.copy() for p in own.parameters()]

    own = copy.deepcopy(layer)  # gradients that are there already stay
    for p in own.parameters():
        p.grad = np.ones(p.shape, p.dtype)
    own.forward(x.copy())
    own.backward(r.copy())
    if not all(same(p.grad - 1, g) for p, g in zip(own.parameters(), once, strict=True)):
        broken.append("grad is not added to")

    own = copy.deepcopy(layer)  # another batch before changes nothing
    if "rng" not in vars(layer):
        first = own.forward(x[::-1].copy())
        first_kept = first.copy()
        before = own.backward(np.ones_like(first))
        before_kept = None if before is None else before.copy()
        for p, q in zip(own.buffers(), layer.buffers(), strict=True):
            p.data = q.data
        y2, d2, g2 = run(own, x.copy(), r.copy())
        if y2.shape != y.shape or not same(y2, y_before) or not same(d2, d_x):
            broken.append("an earlier batch changes the result")
        elif not all(same(a, b) for a, b in zip(g2, once, strict=True)):
            broken.append("an earlier batch changes the gradients")
        if not same(first, first_kept) or not same(before, before_kept):
            broken.append("an array returned earlier is written to")

    own = copy.deepcopy(layer)  # the mode of forward counts
    own.forward(x.copy())
    own.eval()
    if not same(own.backward(r.copy()), d_x):
        broken.append("backward reads training")

    own = copy.deepcopy(layer)  # without the gradient of x the others stay
    own.needs_input_grad = False
    own.forward(x.copy())
    own.backward(r.copy())
    if not all(same(p.grad, g) for p, g in zip(own.parameters(), once, strict=True)):
        broken.append("needs_input_grad=False loses gradients")

    own = copy.deepcopy(layer).eval()  # eval mode changes no buffers, and its gradients are right
    own.forward(x.copy())
    if not all(same(a.data, b.data) for a, b in zip(own.buffers(), layer.buffers(), strict=True)):
        broken.append("eval mode changes buffers")
    if (
        max(layer_errors(copy.deepcopy(layer).eval(), x, kinks, step).values(), default=0)
        > TOLERANCE
    ):
        broken.append("gradients in eval mode")

    for dtype in (np.float32, np.float64):
        small = layer.astype(dtype)
        z = x.astype(dtype) if x.dtype.kind == "f" else x
        y, d_x, _ = run(small, z)[0], *run(small, z, np.ones(y.shape, dtype))[1:]
        if y.dtype != dtype or (d_x is not None and d_x.dtype != dtype):
            broken.append("another dtype")
    return sorted(set(broken))


def broken_loss_promises(loss, prediction, target):
    """The same for a loss."""
    broken = []
    p, t = prediction.copy(), target.copy()
    value = loss(p, t)
    gradient = loss.backward()
    if not np.array_equal(p, prediction):
        broken.append("prediction is modified")
    if not np.array_equal(t, target):
        broken.append("target is modified")
    if gradient.dtype != prediction.dtype:
        broken.append("another dtype")
    if "rng" in vars(loss):
        return broken
    again = loss(prediction.copy(), target.copy())
    if again != value or not np.allclose(loss.backward(), gradient, 1e-9, 1e-12):
        broken.append("an earlier call changes the result")
    return broken
