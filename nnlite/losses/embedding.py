"""Losses that compare: distances, pairs of scores, pairs and triplets of vectors."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from nnlite.core.reading import Reading
from nnlite.losses.base import Loss, Reduction
from nnlite.losses.binary import check_signs


class HingeEmbeddingLoss(Loss):
    """Distances: small where two things are alike, at least the margin where they are not.

    Forward      ℓ = p where t = 1,  max(m − p, 0) where t = −1
    Backward     dℓ/dp = 1 where t = 1,  −[p ≤ m] where t = −1
    Shapes       prediction and target alike; targets −1 and 1
    Args         margin: m, how far apart is far enough (default 1)
                 reduction: "mean" (over all values, default), "sum" or "none"
    Raises       ValueError: when the shapes differ, or for other targets
    Source       Hadsell et al. 2006, without the squares; as PyTorch's
    """

    derivation: ClassVar = {
        "forward": "ℓ = [t = 1] p + [t = −1] max(m − p, 0)",
        "prediction": "dℓ/dp = ([t = 1] − [t = −1] [p ≤ m])",
    }

    def __init__(self, margin: float = 1.0, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def check(self, prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Targets must be −1 and 1."""
        return check_signs(self, super().check(prediction, target))

    def function(self, prediction: np.ndarray, target: np.ndarray) -> tuple[Any, ...]:
        missing = float(self.margin) - prediction  # up to the margin
        return np.where(target == 1, prediction, np.maximum(missing, 0)), missing, target

    def derivative(self, missing: np.ndarray, target: np.ndarray) -> np.ndarray:
        return np.where(target == 1, target, np.where(missing >= 0, target, 0))


class MarginRankingLoss(Loss):
    """Pairs of scores, of which one should be larger than the other.

    Forward      ℓ = max(m − t (a − b), 0): with t = 1, a should exceed b by the margin
    Backward     dℓ/da = −t [m ≥ t (a − b)],  dℓ/db = −dℓ/da
    Shapes       prediction a tuple (a, b), both in the target's shape; targets −1 and 1, or 0 for a
                 pair in no order, whose ℓ is m whatever the scores
    Args         margin: m (default 0)
                 reduction: "mean" (over all pairs, default), "sum" or "none"
    Raises       TypeError: when the prediction is not a tuple
                 ValueError: when the shapes differ, or for other targets
    Source       Herbrich et al. 2000, with the hinge; as PyTorch's
    """

    takes_several = True
    derivation: ClassVar = {
        "forward": "ℓ = max(m − t (a − b), 0)",
        "a": "dℓ/da = −t [t (a − b) ≤ m]",
        "b": "dℓ/db = t [t (a − b) ≤ m]",
    }

    def __init__(self, margin: float = 0.0, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def check(self, prediction: Any, target: np.ndarray) -> np.ndarray:
        """Targets must be −1, 0 and 1, one for each pair."""
        a, _ = self.check_several(prediction, "a, b")
        target = super().check(a, target)
        if not np.isin(target, (-1, 0, 1)).all():
            raise ValueError(
                f"{self!r}: targets must be −1 and 1, or 0 for no order, got {target.min():.4g} to "
                f"{target.max():.4g}"
            )
        return target

    def function(self, prediction: Any, target: np.ndarray) -> tuple[Any, ...]:
        a, b = prediction
        missing = float(self.margin) - target * (a - b)
        return np.maximum(missing, 0), missing, target

    def derivative(self, missing: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, ...]:
        d_b = target * (missing >= 0)
        return -d_b, d_b


class CosineEmbeddingLoss(Loss):
    """Pairs of vectors: in one direction where they belong together, apart where they do not.

    Forward      c = a·b / (‖a‖ ‖b‖), with ‖a‖² = Σ a² + 1e-12
                 ℓ = 1 − c where t = 1,  max(c − m, 0) where t = −1
    Backward     ∂c/∂a = b / (‖a‖ ‖b‖) − c a / ‖a‖²,  and with a and b exchanged
                 dℓ/dc = −1 where t = 1,  [c ≥ m] where t = −1
    Shapes       prediction a tuple (a, b), both (N, …, D); target (N, …), −1 and 1
    Args         margin: m, the cosine that is small enough; best between 0 and 0.5 (default 0)
                 reduction: "mean" (over all pairs, default), "sum" or "none"
    Raises       TypeError: when the prediction is not a tuple
                 ValueError: when the shapes differ, or for other targets
    Source       standard result; as PyTorch's
    """

    takes_several = True
    derivation: ClassVar = {
        "forward": "ℓ = [t = 1] (1 − c) + [t = −1] max(c − m, 0),  c = Σⱼ a b / (√A √B),  "
        "A = Σⱼ a² + 1e-12,  B = Σⱼ b² + 1e-12",
        "a": "dℓ/da = s (b / (√A √B) − c a / A),  s = ([t = −1] [c ≥ m] − [t = 1])",
        "b": "dℓ/db = s (a / (√A √B) − c b / B)",
    }

    def __init__(self, margin: float = 0.0, reduction: Reduction = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def check(self, prediction: Any, target: np.ndarray) -> np.ndarray:
        """Targets must be −1 and 1, one for each pair of vectors."""
        a, _ = self.check_several(prediction, "a, b", vectors=True)
        return check_signs(self, super().check(a[..., 0], target))

    def function(self, prediction: Any, target: np.ndarray) -> tuple[Any, ...]:
        a, b = prediction
        dot, a_a, b_b = ((u * v).sum(axis=-1) for u, v in ((a, b), (a, a), (b, b)))
        tiny = 1e-12
        c = dot / np.sqrt((a_a + tiny) * (b_b + tiny))
        beyond = c - float(self.margin)
        values = np.where(target == 1, 1 - c, np.maximum(beyond, 0))
        d_c = np.where(target == 1, -target, -target * (beyond >= 0))
        return values, a, b, a_a + tiny, b_b + tiny, c, d_c

    def derivative(
        self,
        a: np.ndarray,
        b: np.ndarray,
        a_a: np.ndarray,
        b_b: np.ndarray,
        c: np.ndarray,
        d_c: np.ndarray,
    ) -> tuple[np.ndarray, ...]:
        a_a, b_b, c, d_c = (each[..., None] for each in (a_a, b_b, c, d_c))
        lengths = np.sqrt(a_a * b_b)
        return d_c * (b / lengths - c * a / a_a), d_c * (a / lengths - c * b / b_b)


class TripletMarginLoss(Loss):
    """Triplets of vectors: the anchor nearer to the positive than to the negative.

    Forward      ℓ = max(m + d(a, p) − d(a, n), 0),  d(u, v) = (Σⱼ |uⱼ − vⱼ + ε|^q)^(1/q)
                 with swap, d(p, n) stands for d(a, n) where it is smaller
    Backward     with δ = u − v + ε:  ∂d/∂u = sign δ (|δ| / d)^(q−1),  ∂d/∂v = −∂d/∂u; 0 for d = 0
                 dℓ/da = ∂d(a, p)/∂a − ∂d(a, n)/∂a,  dℓ/dp = ∂d(a, p)/∂p,  dℓ/dn = −∂d(a, n)/∂n,
                 all of them 0 where ℓ was cut off
    Shapes       prediction a tuple (a, p, n), each (N, …, D); the target is not looked at: it may
                 be None, and `fit` takes anything with one row for each triplet
    Args         margin: m > 0 (default 1)
                 p: q ≥ 1, the norm's power (default 2)
                 eps: ε, keeps the gradient from 0/0 where vectors are equal (default 1e-6)
                 swap: whether the nearer of anchor and positive is held from the negative (default
                 False)
                 reduction: "mean" (over all triplets, default), "sum" or "none"
    Raises       TypeError: when the prediction is not a tuple
                 ValueError: when the shapes differ
    Source       Weinberger & Saul 2009; swap: Balntas et al. 2016, section 3.3; as PyTorch's
    """

    takes_several = True

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(reduction)
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap

    def reading(self, *saved: Any) -> Reading:
        return Reading(values={"q": self.p})

    @property
    def derivation(self) -> dict[str, str]:  # type: ignore[override]
        def distance(name: str, u: str, v: str) -> str:
            return f"{name} = (Σⱼ |{u} − {v} + ε|^q)^(1/q)"

        def slope(name: str, u: str, v: str) -> str:
            return f"sign({u} − {v} + ε) (|{u} − {v} + ε| / {name})^(q − 1)"

        kept = "[m + A − B ≥ 0]"
        near, far = slope("A", "a", "p"), slope("B", "a", "n")
        forward = f"ℓ = max(m + A − B, 0),  {distance('A', 'a', 'p')},  {distance('B', 'a', 'n')}"
        if not self.swap:
            return {
                "forward": forward,
                "a": f"dℓ/da = {kept} ({near} − {far})",
                "p": f"dℓ/dp = −{kept} {near}",
                "n": f"dℓ/dn = {kept} {far}",
            }
        other = slope("F", "p", "n")
        forward = (
            f"ℓ = max(m + A − B, 0),  {distance('A', 'a', 'p')},  B = min(E, F),  "
            f"{distance('E', 'a', 'n')},  {distance('F', 'p', 'n')}"
        )
        far = slope("E", "a", "n")
        return {
            "forward": forward,
            "a": f"dℓ/da = {kept} ({near} − [E ≤ F] {far})",
            "p": f"dℓ/dp = −{kept} ({near} + [E > F] {other})",
            "n": f"dℓ/dn = {kept} ([E ≤ F] {far} + [E > F] {other})",
        }

    def __call__(
        self, prediction: Any, target: Any = None, sample_weight: np.ndarray | None = None
    ) -> Any:
        """As of every loss; there is no target to give."""
        return super().__call__(prediction, target, sample_weight)

    def check(self, prediction: Any, target: Any) -> Any:
        """The target is not looked at."""
        self.check_several(prediction, "a, p, n", vectors=True)
        return target

    def function(self, prediction: Any, target: Any) -> tuple[Any, ...]:
        a, p, n = prediction
        near, d_near = self._distance(a, p)
        far, d_far = self._distance(a, n)
        d_swapped = None
        if self.swap:
            other, d_other = self._distance(p, n)
            nearer = (other < far)[..., None]
            far = np.minimum(far, other)
            d_far, d_swapped = d_far * ~nearer, d_other * nearer
        above = float(self.margin) + near - far
        return np.maximum(above, 0), (above >= 0)[..., None], d_near, d_far, d_swapped

    def derivative(
        self,
        kept: np.ndarray,
        d_near: np.ndarray,
        d_far: np.ndarray,
        d_swapped: np.ndarray | None,
    ) -> tuple[np.ndarray, ...]:
        d_p, d_n = -d_near, d_far
        if d_swapped is not None:  # −d(p, n) instead of −d(a, n)
            d_p, d_n = d_p - d_swapped, d_n + d_swapped
        return kept * (d_near - d_far), kept * d_p, kept * d_n

    def _distance(self, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """d(u, v), (N, …), and ∂d/∂u, (N, …, D)."""
        power, delta = float(self.p), u - v + float(self.eps)
        size = np.abs(delta)
        d = (size**power).sum(axis=-1) ** (1 / power)
        share = size / np.where(d > 0, d, 1)[..., None]
        return d, np.sign(delta) * share ** (power - 1)
