"""Freed arrays are used again instead of being asked of the system page by page."""

import platform
import sys

import numpy as np
import pytest

import nnlite  # noqa: F401  # sets the C library up


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_freed_memory_is_kept():
    resource = pytest.importorskip("resource")
    assert sys.platform.startswith("linux")

    def faults():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(3):
            arrays = [np.ones(4 << 20, np.uint8) for _ in range(8)]
            del arrays
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    faults()
    assert faults() < 1000  # 24,576 pages of 4 KB otherwise
