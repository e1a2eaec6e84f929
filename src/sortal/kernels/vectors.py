"""LLVM vectors written by hand, where numba would choose another loop to make vectors of."""

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir

__all__ = ["TILE_BYTES", "load", "multiply_add", "pointer", "splat", "store"]

# Two vectors of the machine, as bytes: 12 sums then fill the registers without spilling.
TILE_BYTES = 128 if llvm.get_host_cpu_features().get("avx512f") else 64


def pointer(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    return context.make_array(kind)(context, builder, value).data


def load(builder: Any, data: Any, at: Any, vector: Any) -> Any:
    place = builder.bitcast(builder.gep(data, [at]), vector.as_pointer())
    return builder.load(place, align=4)  # rows of x lie anywhere


def store(builder: Any, value: Any, data: Any, at: Any) -> None:
    place = builder.bitcast(builder.gep(data, [at]), value.type.as_pointer())
    builder.store(value, place, align=4)


def splat(builder: Any, scalar: Any, lanes: int) -> Any:
    vector = ir.VectorType(scalar.type, lanes)
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
    return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), zeros)


def multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    # "contract" gives a fused instruction where the machine has one, and two where it has not.
    return builder.fadd(builder.fmul(a, b, flags=("contract",)), c, flags=("contract",))
