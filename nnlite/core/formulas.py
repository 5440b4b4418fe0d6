"""Pieces of printed equations."""

from __future__ import annotations


def subscript(number: int) -> str:
    """The number in small digits below the line: 12 is "₁₂"."""
    return str(number).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))


def entry(places: str) -> str:
    """The entry at these places of a sample and channel: "[n,h,w,c]" for "hw"."""
    return f"[n,{','.join(places)},c]"


def place(window: str, inside: str, stride: int, dilation: int, padding: int) -> str:
    """Where value `inside` of a window lies: "2i + 3k − 1" for stride 2, dilation 3, padding 1."""
    moved = f"{'' if stride == 1 else stride}{window}+{'' if dilation == 1 else dilation}{inside}"
    return f"{moved}−{padding}" if padding else moved
