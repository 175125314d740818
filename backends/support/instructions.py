"""LLVM instructions that Numba does not offer: for numbers that threads share, and to read ahead.

`read`, `write` and `claim` work on one element of a one-dimensional int64 array in C order. If a
thread reads a number that another one has written, it also sees everything the other one stored
before that. Neither the compiler nor the processor moves earlier accesses to memory past a `write`,
or later ones ahead of a `read`. (This is called release and acquire: LLVM Language Reference
Manual, "Atomic Memory Ordering Constraints".)
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from gradrace.backends.interface import Floats, Integers

_BYTES = 8
_Emit = Callable[[Any, Any, Any, Any], Any]


def _emit_load(_: Any, array: Any, i: Any) -> tuple[Any, _Emit] | None:
    if not _fits(array, types.int64):
        return None

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(_pointer(context, builder, signature, args), "acquire", _BYTES)

    return types.int64(array, i), emit


def _emit_store(_: Any, array: Any, i: Any, _value: Any) -> tuple[Any, _Emit] | None:
    if not _fits(array, types.int64):
        return None

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = _pointer(context, builder, signature, args)
        builder.store_atomic(args[2], at, "release", _BYTES)
        return context.get_dummy_value()

    return types.void(array, i, types.int64), emit


def _emit_exchange(_: Any, array: Any, i: Any, _value: Any) -> tuple[Any, _Emit] | None:
    if not _fits(array, types.int64):
        return None

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at, free = _pointer(context, builder, signature, args), context.get_constant(types.int64, 0)
        found = builder.cmpxchg(at, free, args[2], "acq_rel", "acquire")
        return builder.extract_value(found, 1)

    return types.boolean(array, i, types.int64), emit


def _emit_prefetch(_: Any, array: Any, i: Any) -> tuple[Any, _Emit] | None:
    if not _fits(array, types.float64):
        return None

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        int32, pointer = ir.IntType(32), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer, int32, int32, int32])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [pointer], kind)
        at = builder.bitcast(_pointer(context, builder, signature, args), pointer)
        read, keep, data = int32(0), int32(3), int32(1)
        builder.call(prefetch, [at, read, keep, data])
        return context.get_dummy_value()

    return types.void(array, i), emit


def _fits(array: Any, number: Any) -> bool:
    """Whether a type is that of an array of such numbers in C order."""
    return isinstance(array, types.Array) and array.layout == "C" and array.dtype == number


def _pointer(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """Return the address of element args[1] of the array args[0], which has no gaps."""
    array = context.make_array(signature.args[0])(context, builder, args[0])
    return builder.gep(array.data, [args[1]])


_declare: Any = intrinsic  # its types know nothing of the first argument

read: Callable[[Integers, int], int] = _declare(_emit_load)
"""read(array, i) returns array[i]."""
write: Callable[[Integers, int, int], None] = _declare(_emit_store)
"""write(array, i, value) sets array[i] to value."""
claim: Callable[[Integers, int, int], bool] = _declare(_emit_exchange)
"""claim(array, i, value) sets array[i] to value if it is 0, and returns whether it was.

Only one thread can succeed.
"""
fetch: Callable[[Floats, int], None] = _declare(_emit_prefetch)
"""fetch(array, i) tells the processor that number i of an array in C order will be read soon.

i may be beyond the end.
"""
