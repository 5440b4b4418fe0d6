"""The processor's control word, by which a thread counts numbers below the normal floats as 0."""

from __future__ import annotations

import platform
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

# x86's control word as it is at first, with what is below the normal floats read and written as 0
FLUSHING = np.uint32(0x9FC0)
X86 = platform.machine().lower() in {"x86_64", "amd64"}


@intrinsic
def exchange_control(typingctx: Any, word: Any) -> Any:
    """Tell the processor how this thread computes with floats, and return what it was told before.

    Elsewhere than on x86 nothing happens: there numbers below the normal floats cost no more.
    """

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if not X86:
            return arguments[0]
        place = cgutils.alloca_once(builder, ir.IntType(32))
        pointer = builder.bitcast(place, cgutils.voidptr_t)
        kind = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t])
        read, write = (
            cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.sse.{name}")
            for name in ("stmxcsr", "ldmxcsr")
        )
        builder.call(read, [pointer])
        before = builder.load(place)
        builder.store(arguments[0], place)
        builder.call(write, [pointer])
        return before

    return types.uint32(types.uint32), codegen
