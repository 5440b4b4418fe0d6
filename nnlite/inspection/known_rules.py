"""The well-known update rules, written plainly, and the mistakes that are usual in each.

Every rule is one step of one array, `rule(w, g, s, k, o, wrong)`: weights, gradient, a dictionary
in which it keeps its state, the number of the step (1 first), the options, and "" or the name of a
mistake to make. It returns the new weights. Weight decay and clipping are not among them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray
Options = Mapping[str, Any]
Rule = Callable[[Array, Array, dict[str, Any], int, Options, str], Array]


class Known(NamedTuple):
    """A rule, its usual options, and by name what is said of its mistakes, likeliest first.

    `variants` are names of "mistakes" that are none: other forms in use.
    """

    rule: Rule
    options: Options
    mistakes: Mapping[str, str]
    variants: tuple[str, ...] = ()


def sgd(w: Array, g: Array, s: dict[str, Any], k: int, o: Options, wrong: str) -> Array:
    """b ← μ b + (1 − τ) g;  w ← w − lr b, or with Nesterov's look-ahead w ← w − lr (g + μ b)."""
    lr, mu = o["lr"], o["momentum"]
    if mu == 0:
        return w - lr * (g / 2 if wrong == "half" else g)
    share = 1 - o["dampening"] if k > 1 else 1.0
    if wrong == "mean":
        share = 1 - mu
    b = s.get("b", np.zeros_like(w))
    if wrong == "swapped":
        b = (1 - mu) * b + mu * g
    elif wrong == "lr twice":
        b = mu * b + lr * g
    elif wrong == "gradient shrinks":
        b = mu * (b + g)
    elif wrong == "grows":
        b = b + g
    elif wrong == "sign":
        b = mu * b - g
    else:
        b = mu * b + share * g
    before, s["b"] = s.get("b", np.zeros_like(w)), b
    if wrong == "late":
        return w - lr * before
    if not o["nesterov"] and wrong != "ahead":
        return w - lr * b
    ways = {
        "plain": b,
        "no factor": g + b,
        "gradient left out": mu * b,
        "factor on g": b + mu * g,
    }
    return w - lr * ways.get(wrong, g + mu * b)


def adam(w: Array, g: Array, s: dict[str, Any], k: int, o: Options, wrong: str) -> Array:
    """m̂ / (√v̂ + ε), with AMSGrad the largest v so far in place of v."""
    (b1, b2), eps = o["betas"], o["eps"]
    m, v = _moments(w, g, s, (b2, b1) if wrong == "betas swapped" else (b1, b2), wrong)
    if o["amsgrad"]:
        v = s["v_max"] = np.maximum(s.get("v_max", v), v)
    t = k + 1 if wrong == "k ahead" else max(k - 1, 1) if wrong == "k behind" else k
    c1 = 1.0 if wrong in ("uncorrected", "m uncorrected") else 1 - b1**t
    c2 = 1.0 if wrong in ("uncorrected", "v uncorrected") else 1 - b2**t
    if wrong == "corrected with k = 1":
        c1, c2 = 1 - b1, 1 - b2
    if wrong == "times k":
        c1, c2 = 1 - b1 * k, 1 - b2 * k
    m_hat, v_hat = m / c1, v / c2
    if wrong == "correction kept":
        s["m"], s["v"] = m_hat, v_hat
    if wrong == "without m":
        m_hat = g
    if wrong == "efficient":  # Kingma & Ba, end of section 2, and Keras
        return w - o["lr"] * np.sqrt(c2) / c1 * m / (np.sqrt(v) + eps)
    return w - o["lr"] * m_hat / _size(v_hat, eps, wrong)


def nadam(w: Array, g: Array, s: dict[str, Any], k: int, o: Options, wrong: str) -> Array:
    """Adam with m a step ahead."""
    (b1, b2), psi = o["betas"], o["momentum_decay"]
    m, v = _moments(w, g, s, (b1, b2), wrong)
    mu, ahead = (b1 * (1 - 0.5 * 0.96 ** (j * psi)) for j in (k, k + 1))
    product = s["product"] = s.get("product", 1.0) * mu
    way = (1 - mu) * g / (1 - product) + ahead * m / (1 - product * ahead)
    if wrong == "constant μ":  # Dozat 2016 without the warm-up of μ
        way = (1 - b1) * g / (1 - b1**k) + b1 * m / (1 - b1 ** (k + 1))
    if wrong == "constant μ, m̂ of now":  # Ruder 2016, equation 39
        way = ((1 - b1) * g + b1 * m) / (1 - b1**k)
    if wrong == "adam":
        way = m / (1 - b1**k)
    return w - o["lr"] * way / _size(v / (1 - b2**k), o["eps"], wrong)


def radam(w: Array, g: Array, s: dict[str, Any], k: int, o: Options, wrong: str) -> Array:
    """Adam, rectified once the variance of v is known."""
    b1, b2 = o["betas"]
    m, v = _moments(w, g, s, (b1, b2), wrong)
    m_hat, c2 = m / (1 - b1**k), 1 - b2**k
    most = 2 / (1 - b2) - 1
    rho = most - 2 * k * b2**k / c2
    if rho <= 5:
        return w - o["lr"] * m_hat
    r = np.sqrt((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho))
    r = 1.0 if wrong == "unrectified" else r
    return w - o["lr"] * r * m_hat * np.sqrt(c2) / _size(v, o["eps"], wrong)


def adamax(w: Array, g: Array, s: dict[str, Any], k: int, o: Options, wrong: str) -> Array:
    """m̂ / u, with u ← max(β₂ u, |g| + ε)."""
    b1, b2 = reversed(o["betas"]) if wrong == "betas swapped" else o["betas"]
    m = s["m"] = b1 * s.get("m", 0) + (1 if wrong == "m adds g" else 1 - b1) * g
    size = g * g if wrong == "square" else abs(g)
    if wrong == "eps below":  # Kingma & Ba leave ε out, and others add it to u
        u = s["u"] = np.maximum(b2 * s.get("u", 0), size)
        u = u + o["eps"]
    else:
        u = s["u"] = np.maximum(b2 * s.get("u", 0), size + o["eps"])
    if wrong == "u never falls":
        u = s["u"] = np.maximum(s.get("largest", 0), size + o["eps"])
        s["largest"] = u
    if wrong == "u corrected":
        u = u / (1 - b2**k)
    return w - o["lr"] * (m if wrong == "uncorrected" else m / (1 - b1**k)) / u


def rprop(w: Array, g: Array, s: dict[str, Any], k: int, o: Options, wrong: str) -> Array:
    """Sizes that grow while the sign of g stays, and shrink where it turns."""
    (shrink, grow), (least, most) = o["etas"], o["step_sizes"]
    if wrong == "etas swapped":
        shrink, grow = grow, shrink
    size, before = s.get("s", np.full_like(w, o["lr"])), s.get("p", np.zeros_like(w))
    h = before * np.sign(g)
    size = size * np.where(h > 0, grow, np.where(h < 0, shrink, 1.0))
    s["s"] = size if wrong == "unbounded" else np.clip(size, least, most)
    s["p"] = np.sign(g) * (1 if wrong == "does not wait" else h >= 0)
    return w - s["s"] * (g if wrong == "no sign" else s["p"])


def asgd(w: Array, g: Array, s: dict[str, Any], k: int, o: Options, wrong: str) -> Array:
    """A rate that falls, and a decay that goes with it; the mean of w does not change w."""
    lr, lambd = o["lr"], o["lambd"]
    done = k if wrong == "k ahead" else k - 1
    rate = lr if wrong == "constant" else lr / (1 + lambd * lr * done) ** o["alpha"]
    decay = 0.0 if wrong == "no decay" else lambd
    return w - rate * (g + decay * w)


def adafactor(w: Array, g: Array, s: dict[str, Any], k: int, o: Options, wrong: str) -> Array:
    """g / √v, v = r q / mean(r), cut to d and in units of rms(w)."""
    eps1, eps2 = o["eps"]
    eps1 = np.finfo(w.dtype).eps if eps1 is None else eps1
    beta = 0.999 if wrong == "constant β" else 1 - k ** o["beta2_decay"]
    square = g * g
    if w.ndim < 2 or wrong == "not factored":
        v = s["v"] = beta * s.get("v", 0) + (1 - beta) * square
    else:
        r = s["r"] = beta * s.get("r", 0) + (1 - beta) * square.mean(axis=-1, keepdims=True)
        q = s["q"] = beta * s.get("q", 0) + (1 - beta) * square.mean(axis=-2, keepdims=True)
        mean = np.maximum(r.mean(axis=-2, keepdims=True), eps1)
        v = r * q / (1 if wrong == "not divided" else mean)
    u = g / np.maximum(np.sqrt(v), eps1)
    u = u if wrong == "not cut" else u / max(1.0, np.sqrt(np.mean(u * u)) / o["d"])
    size = 1.0 if wrong == "absolute" else max(eps2, np.sqrt(np.mean(w * w)))
    return w - size * min(o["lr"], np.inf if wrong == "does not fall" else k**-0.5) * u


def lamb(w: Array, g: Array, s: dict[str, Any], k: int, o: Options, wrong: str) -> Array:
    """Adam's direction u, as long as lr ‖w‖."""
    (b1, b2), eps = o["betas"], o["eps"]
    m, v = _moments(w, g, s, (b1, b2), wrong)
    c1, c2 = (1.0, 1.0) if wrong == "uncorrected" else (1 - b1**k, 1 - b2**k)
    u = m / c1 / _size(v / c2, eps, wrong)
    length, way = np.linalg.norm(w), np.linalg.norm(u)
    if wrong == "adam" or not length or not way:
        return w - o["lr"] * u
    return w - o["lr"] * (way / length if wrong == "inverse" else length / way) * u


def muon(w: Array, g: Array, s: dict[str, Any], k: int, o: Options, wrong: str) -> Array:
    """The momentum, orthogonalized; AdamW for what is no matrix."""
    if w.ndim != 2 or not o["matrices"]:
        return adam(w, g, s, k, {**o, "amsgrad": False}, wrong)
    mu, (c1, c3, c5) = o["momentum"], o["ns_coefficients"]
    b = s["b"] = mu * s.get("b", 0) + (1 - mu) * g
    x = b if not o["nesterov"] or wrong == "plain" else mu * b + (1 - mu) * g
    x = x / max(np.linalg.norm(x), o["eps"])
    for _ in range(0 if wrong == "not orthogonal" else o["ns_steps"]):
        a = x @ x.T
        x = c1 * x + (c3 * a + c5 * a @ a) @ x
    rows, columns = w.shape
    side = rows / columns if wrong == "other side" else columns / rows
    longer = np.sqrt(max(1.0, side))
    if o["adjust_lr_fn"] == "match_rms_adamw":
        longer = 0.2 * np.sqrt(max(rows, columns))
    return w - o["lr"] * (1.0 if wrong == "not adjusted" else longer) * x


def adagrad(w: Array, g: Array, s: dict[str, Any], k: int, o: Options, wrong: str) -> Array:
    """s ← s + g²;  g / (√s + ε)."""
    before = s.get("s", np.full_like(w, o["initial_accumulator_value"]))
    total = s["s"] = before + (abs(g) if wrong == "size" else g * g)
    if wrong == "late":
        total = before
    return w - o["lr"] / (1 + (k - 1) * o["lr_decay"]) * g / _size(total, o["eps"], wrong)


def adadelta(w: Array, g: Array, s: dict[str, Any], k: int, o: Options, wrong: str) -> Array:
    """d = g √(u + ε) / √(v + ε)."""
    rho, eps = 1 - o["rho"] if wrong == "swapped" else o["rho"], o["eps"]
    v = s["v"] = rho * s.get("v", 0) + (1 - rho) * g * g
    u = s.get("u", np.zeros_like(w))
    d = g * np.sqrt(u + eps) / np.sqrt(v + eps)
    if wrong == "upside down":
        d = g * np.sqrt(v + eps) / np.sqrt(u + eps)
    s["u"] = rho * u + (1 - rho) * (g if wrong == "gradients twice" else d) ** 2
    return w - o["lr"] * d


def rmsprop(w: Array, g: Array, s: dict[str, Any], k: int, o: Options, wrong: str) -> Array:
    """v ← α v + (1 − α) g²;  d = g / (√v + ε), with momentum on d."""
    alpha = 1 - o["alpha"] if wrong == "swapped" else o["alpha"]
    before = s.get("v", np.zeros_like(w))
    v = s["v"] = alpha * before + (1 if wrong == "v adds g²" else 1 - alpha) * (
        abs(g) if wrong == "size" else g * g
    )
    if wrong == "late":
        v = before
    if wrong == "corrected":
        v = v / (1 - alpha**k)
    if o["centered"]:
        m = s["m"] = alpha * s.get("m", 0) + (1 - alpha) * g
        v = np.maximum(v - (m if wrong == "m unsquared" else m * m), 0)
    d = g / _size(v, o["eps"], wrong)
    if o["momentum"]:
        d = s["b"] = o["momentum"] * s.get("b", 0) + d
    return w - o["lr"] * d


def lion(w: Array, g: Array, s: dict[str, Any], k: int, o: Options, wrong: str) -> Array:
    """u = sign(β₁ m + (1 − β₁) g);  m ← β₂ m + (1 − β₂) g."""
    b1, b2 = reversed(o["betas"]) if wrong == "betas swapped" else o["betas"]
    m = s.get("m", np.zeros_like(w))
    s["m"] = b2 * m + (1 - b2) * g
    if wrong == "m first":
        m = s["m"]
    u = b1 * m + (1 - b1) * g
    if wrong == "one mean":
        u = s["m"] = b1 * m + (1 - b1) * g
    return w - o["lr"] * (u if wrong == "sign" else np.sign(u))


def _moments(
    w: Array, g: Array, s: dict[str, Any], betas: tuple[float, float], wrong: str
) -> tuple[Array, Array]:
    b1, b2 = betas
    square = abs(g) if wrong == "size" else g * g
    m = b1 * s.get("m", 0) + (1 if wrong == "m adds g" else 1 - b1) * g
    v = b2 * s.get("v", 0) + (1 if wrong == "v adds g²" else 1 - b2) * square
    if wrong == "v of m":
        v = b2 * s.get("v", 0) + (1 - b2) * m * m
    if wrong == "factors swapped":
        m, v = (1 - b1) * s.get("m", 0) + b1 * g, (1 - b2) * s.get("v", 0) + b2 * g * g
    s["m"], s["v"] = m, v
    return m, v


def _size(v: Array, eps: float, wrong: str) -> Array:
    """√v + ε."""
    if wrong == "no root":
        return v + eps
    if wrong == "eps inside":
        return np.sqrt(v + eps)
    if wrong == "multiplied":
        return 1 / (np.sqrt(v) + eps)
    return np.sqrt(v) + eps


FORGETS = "{0} the steps before: write into what is kept, {1}[:] = …, not {1} = …"
ROOT = {
    "no root": "the square root is missing: divide by √v + ε, not by v + ε",
    "eps inside": "ε stands inside the root: it is √v + ε, not √(v + ε)",
    "size": "v is a mean of |g| instead of g²: square the gradient",
    "multiplied": "the step is multiplied by √v + ε: divide by it",
}
MOMENTS = {
    **ROOT,
    "m adds g": "m gets all of g: the factor (1 − β₁) is missing in m ← β₁ m + (1 − β₁) g",
    "v adds g²": "v gets all of g²: the factor (1 − β₂) is missing in v ← β₂ v + (1 − β₂) g²",
    "v of m": "v is a mean of m² instead of g²: take the gradient, not the running mean",
    "forgets": FORGETS.format("m and v forget", "m"),
    "forgets m": FORGETS.format("m forgets", "m"),
    "forgets v": FORGETS.format("v forgets", "v"),
    "factors swapped": "β and 1 − β are swapped: it is m ← β₁ m + (1 − β₁) g, and so for v",
}
ADAM = {
    "uncorrected": "the step does not grow by √(1 − β₂ᵏ)/(1 − β₁ᵏ): bias correction is missing. "
    "Divide m by 1 − β₁ᵏ and v by 1 − β₂ᵏ, since both began at zero",
    "m uncorrected": "the step does not grow by 1/(1 − β₁ᵏ): m's bias correction is missing",
    "v uncorrected": "the step does not shrink by √(1 − β₂ᵏ): v's bias correction is missing",
    "corrected with k = 1": "bias correction divides by 1 − β in every step: it is 1 − βᵏ, with k "
    "the number of the step",
    "times k": "bias correction takes β · k instead of the power βᵏ",
    "k ahead": "k is one step ahead in the bias correction: it is 1 in the first step",
    "k behind": "k is one step behind in the bias correction: it is 2 in the second step",
    "correction kept": "the corrected m̂ and v̂ are kept as m and v: correct copies, and keep the "
    "means as they are",
    "betas swapped": "β₁ and β₂ are swapped: β₁ belongs to m, β₂ to v",
    "without m": "the step takes the gradient itself instead of its running mean m",
    **MOMENTS,
}
MOMENTUM = {
    "mean": "the momentum takes (1 − μ) g: it is b ← μ b + g, which makes steps 1/(1 − μ) as long",
    "swapped": "μ and 1 − μ are swapped: the old b keeps the share μ",
    "forgets": FORGETS.format("b forgets", "b"),
    "lr twice": "the gradient is multiplied by lr twice, into b and with b",
    "gradient shrinks": "μ multiplies the new gradient too: it is μ b + g, not μ (b + g)",
    "grows": "b grows without bound: the factor μ is missing in b ← μ b + g",
    "sign": "the gradient has the wrong sign: it is b ← μ b + g, and w ← w − lr b",
    "late": "the step takes b as it was before this gradient: update b first, then w",
    "ahead": "it looks ahead as Nesterov's form does, though nesterov is off",
    "plain": "Nesterov's look-ahead is missing: the step is g + μ b, not b",
    "no factor": "Nesterov's look-ahead lacks μ: the step is g + μ b, not g + b",
    "factor on g": "Nesterov's look-ahead has μ at the gradient: the step is g + μ b, not b + μ g",
    "gradient left out": "Nesterov's look-ahead leaves out the gradient: the step is g + μ b",
    "half": "the step is half as long as lr g",
}
BETAS = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8}
PLAIN = {"lr": 1e-3, "momentum": 0.0, "dampening": 0.0, "nesterov": False}

# Numbers in use, beside the usual ones; a rule may have them written into it.
NUMBERS: Options = {
    "betas": ((0.9, 0.999), (0.9, 0.99), (0.9, 0.98), (0.9, 0.95), (0.5, 0.999), (0.95, 0.98)),
    "eps": (1e-10, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2),
    "momentum": (0.5, 0.8, 0.9, 0.95, 0.99),
    "alpha": (0.9, 0.95, 0.99, 0.999),
    "rho": (0.9, 0.95, 0.99),
    "initial_accumulator_value": (0.0, 0.1),
}

KNOWN = {
    "SGD": Known(sgd, PLAIN, MOMENTUM),
    "Momentum": Known(sgd, {**PLAIN, "momentum": 0.9}, MOMENTUM),
    "Nesterov": Known(sgd, {**PLAIN, "momentum": 0.9, "nesterov": True}, MOMENTUM),
    "Adam": Known(adam, {**BETAS, "amsgrad": False}, ADAM, ("efficient",)),
    "AdamW": Known(adam, {**BETAS, "amsgrad": False}, ADAM, ("efficient",)),
    "NAdam": Known(
        nadam,
        {**BETAS, "momentum_decay": 4e-3},
        {"adam": "it moves as Adam: the look-ahead is missing", **MOMENTS},
        ("constant μ", "constant μ, m̂ of now"),
    ),
    "NAdamW": Known(
        nadam,
        {**BETAS, "momentum_decay": 4e-3},
        {"adam": "it moves as Adam: the look-ahead is missing", **MOMENTS},
        ("constant μ", "constant μ, m̂ of now"),
    ),
    "Adamax": Known(
        adamax,
        {**BETAS, "lr": 2e-3},
        {
            "uncorrected": "bias correction is missing: divide m by 1 − β₁ᵏ",
            "u corrected": "u needs no bias correction: only m is divided, by 1 − β₁ᵏ",
            "square": "u is of g² instead of |g|: it is u ← max(β₂ u, |g|)",
            "u never falls": "u never falls: the factor β₂ is missing in u ← max(β₂ u, |g|)",
            "m adds g": MOMENTS["m adds g"],
            "betas swapped": "β₁ and β₂ are swapped: β₁ belongs to m, β₂ to u",
            "forgets": FORGETS.format("m and u forget", "m"),
            "forgets m": MOMENTS["forgets m"],
            "forgets u": FORGETS.format("u forgets", "u"),
        },
        ("eps below",),
    ),
    "RAdamW": Known(
        radam, BETAS, {"unrectified": "the factor r of the rectification is missing", **MOMENTS}
    ),
    "RAdam": Known(
        radam, BETAS, {"unrectified": "the factor r of the rectification is missing", **MOMENTS}
    ),
    "Adagrad": Known(
        adagrad,
        {"lr": 1e-2, "lr_decay": 0.0, "initial_accumulator_value": 0.0, "eps": 1e-10},
        {
            "forgets": FORGETS.format("s forgets", "s"),
            "late": "the step takes s as it was before this gradient: update s first, then w",
            **ROOT,
        },
    ),
    "Adadelta": Known(
        adadelta,
        {"lr": 1.0, "rho": 0.9, "eps": 1e-6},
        {
            "gradients twice": "u is a mean of g² instead of d²: it follows the steps, not "
            "gradients",
            "swapped": "ρ and 1 − ρ are swapped: it is v ← ρ v + (1 − ρ) g², and so for u",
            "upside down": "the roots are the wrong way round: it is d = g √(u + ε) / √(v + ε), "
            "the steps so far above, the gradients below",
            "forgets": FORGETS.format("v and u forget", "v"),
        },
    ),
    "RMSprop": Known(
        rmsprop,
        {"lr": 1e-2, "alpha": 0.99, "eps": 1e-8, "momentum": 0.0, "centered": False},
        {
            "swapped": "α and 1 − α are swapped: it is v ← α v + (1 − α) g²",
            "v adds g²": "v gets all of g²: the factor (1 − α) is missing",
            "forgets": FORGETS.format("v forgets", "v"),
            "late": "the step takes v as it was before this gradient: update v first, then w",
            "m unsquared": "the centred v lacks a square: it is v − m², not v − m",
            "corrected": "RMSprop has no bias correction: leave out the division by 1 − αᵏ",
            **ROOT,
        },
        ("eps inside",),
    ),
    "Lion": Known(
        lion,
        {"lr": 1e-4, "betas": (0.9, 0.99)},
        {
            "sign": "the sign is missing: every weight moves by lr",
            "m first": "the step takes m as it is after this gradient: take the step, then update "
            "m",
            "betas swapped": "β₁ and β₂ are swapped: the step takes β₁, and what is kept takes β₂",
            "forgets": FORGETS.format("m forgets", "m"),
            "one mean": "m is kept with β₁: the step takes β₁, and what is kept takes β₂",
        },
    ),
    "Rprop": Known(
        rprop,
        {"lr": 1e-2, "etas": (0.5, 1.2), "step_sizes": (1e-6, 50.0)},
        {
            "etas swapped": "η₋ and η₊ are swapped: steps grow where the sign stays",
            "no sign": "the step is multiplied by the slope: it is w ← w − s sign(g)",
            "unbounded": "the step sizes are not kept between step_sizes",
            "forgets": FORGETS.format("s and p forget", "s"),
            "forgets s": FORGETS.format("s forgets", "s"),
            "forgets p": FORGETS.format("p forgets", "p"),
        },
        ("does not wait",),
    ),
    "ASGD": Known(
        asgd,
        {"lr": 1e-2, "lambd": 1e-4, "alpha": 0.75},
        {
            "constant": "the rate does not fall: it is lr / (1 + λ₀ lr (k − 1))^α",
            "k ahead": "k is one step ahead in the rate: it is lr in the first step",
            "no decay": "the decay is missing: it is w ← w − η (g + λ₀ w)",
        },
    ),
    "Adafactor": Known(
        adafactor,
        {"lr": 1e-2, "beta2_decay": -0.8, "eps": (None, 1e-3), "d": 1.0},
        {
            "not divided": "v lacks the division by mean(r): it is r q / mean(r)",
            "not cut": "long steps are not cut: divide u by max(1, rms(u) / d)",
            "absolute": "the step is not in units of the weights: the factor max(ε₂, rms(w)) is "
            "missing",
            "does not fall": "the rate is not bounded by 1/√k",
            "constant β": "β is constant: it is 1 − k^beta2_decay",
            "forgets": FORGETS.format("r and q forget", "r"),
        },
        ("not factored",),
    ),
    "LAMB": Known(
        lamb,
        {**BETAS, "eps": 1e-6},
        {
            "adam": "it moves as Adam: the factor ‖w‖ / ‖u‖ is missing",
            "inverse": "the norms are the wrong way round: it is ‖w‖ / ‖u‖",
            "uncorrected": ADAM["uncorrected"],
            **MOMENTS,
        },
    ),
    "Muon": Known(
        muon,
        {
            "lr": 1e-3,
            "momentum": 0.95,
            "nesterov": True,
            "eps": 1e-7,
            "ns_steps": 5,
            "ns_coefficients": (3.4445, -4.775, 2.0315),
            "adjust_lr_fn": "original",
            "betas": (0.9, 0.999),
            "matrices": True,
        },
        {
            "not orthogonal": "the momentum is scaled, but not made orthogonal: Newton and "
            "Schulz's steps are missing",
            "plain": "Nesterov's look-ahead is missing: X is μ b + (1 − μ) g",
            "forgets": FORGETS.format("b forgets", "b"),
        },
        ("not adjusted", "other side"),
    ),
}
