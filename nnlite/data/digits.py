"""The handwritten digits that ship with nnlite.

Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
Learning Repository, 1998, doi:10.24432/C50P49; the test part, 1,797 digits of 13 people. Licence:
Creative Commons Attribution 4.0 International (CC BY 4.0). The values are unchanged, stored as a
compressed array of bytes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nnlite.core.arguments import checked


@checked
def load_digits(flatten: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """1,797 handwritten digits, 8 × 8 pixels, with their classes 0 to 9.

    Source: UCI's Optical Recognition of Handwritten Digits (Alpaydin & Kaynak 1998), CC BY 4.0.

    Args:
        flatten: whether each digit is a row of 64 values (default True) or an image (8, 8, 1).

    Returns:
        x: float32, `(1797, 64)` or `(1797, 8, 8, 1)`, ink from 0 to 1.
        y: int64 `(1797,)`.
    """
    with np.load(Path(__file__).with_name("digits.npz"), allow_pickle=False) as file:
        images, y = file["images"], file["labels"]
    x = images.astype(np.float32) / 16  # UCI counts dark pixels in 4 × 4 blocks, 0 to 16
    return x.reshape((-1, 64) if flatten else (-1, 8, 8, 1)), y.astype(np.int64)
