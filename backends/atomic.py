"""Numbers that several threads read and write without a lock.

Each is an element of a one-dimensional array of int64 in C order. What a thread stored before it
wrote such a number, another one sees after it has read it: neither the compiler nor the processor
moves other reads and writes across (acquire and release; LLVM Language Reference Manual, "Atomic
Memory Ordering Constraints"). Numba offers no such numbers, so LLVM's instructions are emitted
here.
"""

from collections.abc import Callable
from typing import Any

from numba import njit, types
from numba.extending import intrinsic

from backends.interface import Integers

_BYTES = 8
_Emit = Callable[[Any, Any, Any, Any], Any]


@njit(cache=True, forceinline=True)
def read(array: Integers, i: int) -> int:
    """Return array[i]."""
    return _load(array, i)


@njit(cache=True, forceinline=True)
def write(array: Integers, i: int, value: int) -> None:
    """Set array[i] to value."""
    _store(array, i, value)


@njit(cache=True, forceinline=True)
def claim(array: Integers, i: int, value: int) -> bool:
    """Set array[i] to value if it is 0; return whether it was. Only one thread can succeed."""
    return _load(array, i) == 0 and _exchange(array, i, value)  # only exchanging is expensive


def _emit_load(_: Any, array: Any, i: Any) -> tuple[Any, _Emit]:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(_pointer(context, builder, signature, args), "acquire", _BYTES)

    return types.int64(array, i), emit


def _emit_store(_: Any, array: Any, i: Any, _value: Any) -> tuple[Any, _Emit]:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = _pointer(context, builder, signature, args)
        builder.store_atomic(args[2], at, "release", _BYTES)
        return context.get_dummy_value()

    return types.void(array, i, types.int64), emit


def _emit_exchange(_: Any, array: Any, i: Any, _value: Any) -> tuple[Any, _Emit]:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at, free = _pointer(context, builder, signature, args), context.get_constant(types.int64, 0)
        found = builder.cmpxchg(at, free, args[2], "acq_rel", "acquire")
        return builder.extract_value(found, 1)

    return types.boolean(array, i, types.int64), emit


def _pointer(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """Return the address of element args[1] of the array args[0], which has no gaps."""
    array = context.make_array(signature.args[0])(context, builder, args[0])
    return builder.gep(array.data, [args[1]])


_declare: Any = intrinsic  # its types know nothing of the first argument
_load: Callable[[Integers, int], int] = _declare(_emit_load)
_store: Callable[[Integers, int, int], None] = _declare(_emit_store)
_exchange: Callable[[Integers, int, int], bool] = _declare(_emit_exchange)
