"""The `onnx` package, which reads, writes and checks the files; imported when it is needed."""

from __future__ import annotations

from typing import Any


def onnx() -> Any:
    """The package.

    Raises:
        ImportError: when it is not installed.
    """
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
        import onnx.reference
        import onnx.shape_inference
    except ImportError as error:
        raise ImportError(
            'ONNX files need the onnx package: python -m pip install "nnlite[onnx]"'
        ) from error
    return onnx
