"""Freed memory stays with the process, because the next step asks for the same arrays again."""

from __future__ import annotations

import numpy as np

LARGEST = (32 << 20) - (64 << 10)  # bytes; glibc learns from blocks of up to 32 MB


def keep_freed_memory() -> None:
    """Keep the C library from giving arrays back to the system after every training step.

    A step frees what it has allocated, and by default glibc returns blocks of some megabytes at
    once; the next step then gets them page by page from the system, which can cost as much as the
    arithmetic (9,000 page faults and 30 of 80 ms for one transformer layer). How large a block
    must be for that, glibc learns from the blocks that are freed. So one large block is taken and
    freed here, never touched; afterwards up to 64 MB of free memory stay with the process.
    Other C libraries take no notice, and neither does glibc when MALLOC_* variables rule.
    """
    np.empty(LARGEST, np.uint8)
