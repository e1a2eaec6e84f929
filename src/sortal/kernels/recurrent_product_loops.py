"""A product of steps with the step before, compiled: `before_step` of `recurrent`.

BLAS takes 15 ms for the 100 products of an LSTM of 128 where OpenBLAS knows the processor by AVX2 alone, 8 by
its AVX-512. Six rows and two vectors of columns at a time keep 12 sums in registers, as in `lloyd_tile`: 6.4.
What is left is reading each step from memory, 26 MB: the next one is fetched while this one is multiplied.
"""

from typing import Any, no_type_check

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from sortal.kernels.compiled import compiled
from sortal.kernels.vectors import TILE_BYTES, load, multiply_add, pointer, splat, store

__all__ = ["LEAST", "before_step"]

ROWS = 6
LEAST = TILE_BYTES // 2  # columns: half of an LSTM's are a tile of float32
LINE = 64  # bytes


@intrinsic
@no_type_check  # jaxtyping's import hook would wrap what numba must compile
def rows_by_tile(typing: Any, product: Any, row: Any, tile: Any, out: Any, column: Any) -> Any:
    """ROWS rows of `product` @ `tile`, from `row` and `column` of `out` on; all of them contiguous."""
    lanes = TILE_BYTES * 8 // tile.dtype.bitwidth
    signature = types.void(product, types.intp, tile, out, types.intp)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args
        row_value, column_value = args[1], args[4]
        product_p, tile_p, out_p = (pointer(context, builder, kinds[a], args[a]) for a in (0, 2, 3))
        depth, width = (_width(context, builder, kinds[a], args[a]) for a in (0, 3))
        const = lambda value: ir.Constant(depth.type, value)  # noqa: E731
        vector = ir.VectorType(context.get_value_type(tile.dtype), lanes)
        rows = [builder.add(row_value, const(r)) for r in range(ROWS)]
        lines = [builder.gep(product_p, [builder.mul(r, depth)]) for r in rows]
        sums = [cgutils.alloca_once(builder, vector) for _ in rows]
        for one in sums:
            builder.store(ir.Constant(vector, [0.0] * lanes), one)
        with cgutils.for_range(builder, depth, intp=depth.type) as loop:
            x = load(builder, tile_p, builder.mul(loop.index, const(lanes)), vector)
            for line, one in zip(lines, sums):
                number = splat(builder, builder.load(builder.gep(line, [loop.index])), lanes)
                builder.store(multiply_add(builder, number, x, builder.load(one)), one)
        for r, one in zip(rows, sums):
            store(builder, builder.load(one), out_p, builder.add(builder.mul(r, width), column_value))
        return context.get_dummy_value()

    return signature, codegen


@no_type_check
def _width(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    return cgutils.unpack_tuple(builder, context.make_array(kind)(context, builder, value).shape, 2)[1]


@intrinsic
@no_type_check
def fetch(typing: Any, rows: Any, at: Any) -> Any:
    """Bring the line of memory that holds number `at` of `rows` nearer; nothing is waited for."""
    signature = types.void(rows, types.intp)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        told = ir.FunctionType(ir.VoidType(), [place, number, number, number])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [place], told)
        line = builder.gep(pointer(context, builder, signature.args[0], args[0]), [args[1]])
        to_read, to_second_cache, data = number(0), number(2), number(1)
        builder.call(prefetch, [builder.bitcast(line, place), to_read, to_second_cache, data])
        return context.get_dummy_value()

    return signature, codegen


@compiled
@no_type_check
def before_step(product, step, out, soon):
    """`product` @ `step`, at least LEAST wide. Of a step that keeps cells apart half is two diagonals."""
    n = step.shape[0]
    apart, tiles = _left_half(step)
    if not apart:
        tiles = _room(step, n)
        for i in range(n):
            _into_tiles(step[i], i, n, tiles)
    width, lanes = n // 2 if apart else n, tiles.shape[2]
    share = soon.size // (len(tiles) * (n // ROWS)) + 1
    fetched = 0
    for k in range(len(tiles)):
        column = min(k * lanes, width - lanes)
        for row in range(0, n, ROWS):  # the last rows and columns twice where they fill no tile
            rows_by_tile(product, min(row, n - ROWS), tiles[k], out, column)
            for at in range(fetched, min(fetched + share, soon.size), LINE // step.itemsize):
                fetch(soon, at)
            fetched += share
    if apart:
        _cell_columns(product, step, out)


@compiled
@no_type_check
def _left_half(step):
    """Whether the right half is two diagonals, and the left half as tiles if so.

    A step of another kind is told by its first row. In one pass: most of it is reading the memory once.
    """
    n, half = step.shape[0], step.shape[0] // 2
    tiles = _room(step, half)
    if 2 * half != n:
        return False, tiles
    for i in range(n):
        row = step[i]
        filled = 0
        for j in range(half):
            filled += row[half + j] != 0
        if filled > (row[half + i % half] != 0):
            return False, tiles
        _into_tiles(row, i, half, tiles)
    return True, tiles


@compiled
@no_type_check
def _room(step, width):
    lanes = TILE_BYTES // step.itemsize
    return np.empty(((width + lanes - 1) // lanes, step.shape[0], lanes), step.dtype)


@compiled
@no_type_check
def _into_tiles(row, i, width, tiles):
    lanes = tiles.shape[2]
    for k in range(len(tiles)):
        column = min(k * lanes, width - lanes)
        part = row[column : column + lanes]  # by a place that might be negative it took twice as long
        for j in range(lanes):
            tiles[k, i, j] = part[j]


@compiled(fastmath={"contract"})
@no_type_check
def _cell_columns(product, step, out):
    """The right half of `product` @ `step`. In one pass: three of NumPy's took seven times as long."""
    n, half = product.shape[0], product.shape[1] // 2
    by_h, by_c = np.empty(half, step.dtype), np.empty(half, step.dtype)
    for j in range(half):
        by_h[j], by_c[j] = step[j, half + j], step[half + j, half + j]
    for i in range(n):
        for j in range(half):
            out[i, half + j] = product[i, j] * by_h[j] + product[i, half + j] * by_c[j]
