"""Scores of a tile of points against all centers, in registers.

A tile is `lanes` points side by side, transposed: number j of all its points lies together. Six centers at a
time meet it, each number broadcast. With two vectors a tile that keeps 12 sums in flight, enough to cover the
latency of multiply-add on AVX2 (16 registers) and AVX-512; a product from BLAS would have to write all scores
to memory before their least could be found.

LLVM vectors are written by hand because numba vectorises the inner loop over d otherwise, and then every
score costs a horizontal sum. The functions stand in a real module: from a factory they would be compiled anew
in every process.
"""

from typing import Any, no_type_check

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from sortal.kernels.vectors import TILE_BYTES, load, multiply_add, pointer, splat, store

__all__ = ["PANEL", "below", "sweep", "tile_norms", "transpose_square"]

PANEL = 6  # centers
SQUARE_BYTES = 64  # a side of the square that is transposed at once


def _least(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered("<", a, b), a, b)


def _most(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered("<", a, b), b, a)


@intrinsic(prefer_literal=True)
@no_type_check  # jaxtyping's import hook would wrap what numba must compile
def sweep(
    typing: Any,
    tile: Any,
    d: Any,
    packed: Any,
    norms: Any,
    first: Any,
    last: Any,
    best: Any,
    second: Any,
    index: Any,
    unrolled: Any,
) -> Any:
    """The least and second least of norm + packed . point over the panels first..last, and its place.

    `tile` holds d x lanes numbers, `packed` panels x d x PANEL; best, second and index (int32) get one number
    a lane. `unrolled`: 0, or d where it is known at compile time.
    """
    number = tile.dtype
    lanes = TILE_BYTES * 8 // number.bitwidth
    n_unrolled = unrolled.literal_value
    signature = types.void(
        tile, types.intp, packed, norms, types.intp, types.intp, best, second, index, unrolled
    )

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args
        tile_p, packed_p, norms_p, best_p, second_p, index_p = (
            pointer(context, builder, kinds[a], args[a]) for a in (0, 2, 3, 6, 7, 8)
        )
        d_value, first_value, last_value = args[1], args[4], args[5]
        size = d_value.type
        scalar = context.get_value_type(number)
        vector = ir.VectorType(scalar, lanes)
        ints = ir.VectorType(ir.IntType(32), lanes)
        const = lambda value: ir.Constant(size, value)  # noqa: E731
        infinity = ir.Constant(vector, [float("inf")] * lanes)
        state = [cgutils.alloca_once(builder, kind) for kind in (vector, vector, ints)]
        for place, value in zip(state, (infinity, infinity, ir.Constant(ints, [0] * lanes))):
            builder.store(value, place)
        sums = [cgutils.alloca_once(builder, vector) for _ in range(PANEL)]

        def step(panel_at: Any, j: Any) -> None:
            x = load(builder, tile_p, builder.mul(j, const(lanes)), vector)
            row = builder.add(panel_at, builder.mul(j, const(PANEL)))
            for c in range(PANEL):
                center = builder.load(builder.gep(packed_p, [builder.add(row, const(c))]))
                builder.store(
                    multiply_add(builder, splat(builder, center, lanes), x, builder.load(sums[c])), sums[c]
                )

        with cgutils.for_range_slice(builder, first_value, last_value, const(1), size) as (panel, _):
            at = builder.mul(panel, const(PANEL))
            for c in range(PANEL):
                norm = builder.load(builder.gep(norms_p, [builder.add(at, const(c))]))
                builder.store(splat(builder, norm, lanes), sums[c])
            panel_at = builder.mul(at, d_value)
            if n_unrolled:
                for j in range(n_unrolled):
                    step(panel_at, const(j))
            else:
                with cgutils.for_range(builder, d_value, intp=size) as loop:
                    step(panel_at, loop.index)
            least, next_least, where = (builder.load(place) for place in state)
            for c in range(PANEL):
                score = builder.load(sums[c])
                name = splat(builder, builder.trunc(builder.add(at, const(c)), ir.IntType(32)), lanes)
                next_least = _least(builder, next_least, _most(builder, score, least))
                nearer = builder.fcmp_ordered("<", score, least)
                where = builder.select(nearer, name, where)
                least = builder.select(nearer, score, least)
            for place, value in zip(state, (least, next_least, where)):
                builder.store(value, place)
        for place, out in zip(state, (best_p, second_p, index_p)):
            store(builder, builder.load(place), out, const(0))
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
@no_type_check
def below(
    typing: Any, tile: Any, d: Any, centers: Any, norms: Any, names: Any, at: Any, bound: Any, masks: Any
) -> Any:
    """Of the PANEL centers names[at:], which score below the bound of which lane: a bit a lane in masks[at:].

    Scores are norm + center . point. `centers` lie row by row, so that any six of them make a panel.
    """
    lanes = TILE_BYTES * 8 // tile.dtype.bitwidth
    signature = types.void(tile, types.intp, centers, norms, names, types.intp, bound, masks)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args
        tile_p, centers_p, norms_p, names_p, bound_p, masks_p = (
            pointer(context, builder, kinds[a], args[a]) for a in (0, 2, 3, 4, 6, 7)
        )
        d_value, at_value = args[1], args[5]
        size = d_value.type
        vector = ir.VectorType(context.get_value_type(tile.dtype), lanes)
        sums = [cgutils.alloca_once(builder, vector) for _ in range(PANEL)]
        rows = []
        for c in range(PANEL):
            place = builder.add(at_value, ir.Constant(size, c))
            name = builder.sext(builder.load(builder.gep(names_p, [place])), size)
            rows.append(builder.gep(centers_p, [builder.mul(name, d_value)]))
            builder.store(splat(builder, builder.load(builder.gep(norms_p, [name])), lanes), sums[c])
        with cgutils.for_range(builder, d_value, intp=size) as loop:
            x = load(builder, tile_p, builder.mul(loop.index, ir.Constant(size, lanes)), vector)
            for c in range(PANEL):
                number = splat(builder, builder.load(builder.gep(rows[c], [loop.index])), lanes)
                builder.store(multiply_add(builder, number, x, builder.load(sums[c])), sums[c])
        most = load(builder, bound_p, ir.Constant(size, 0), vector)
        for c in range(PANEL):
            under = builder.fcmp_ordered("<", builder.load(sums[c]), most)
            bits = builder.zext(builder.bitcast(under, ir.IntType(lanes)), ir.IntType(64))
            builder.store(bits, builder.gep(masks_p, [builder.add(at_value, ir.Constant(size, c))]))
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
@no_type_check
def tile_norms(typing: Any, tile: Any, d: Any, out: Any) -> Any:
    """The sum of squares of each lane; a plain loop keeps it in memory, at a fifth of a d = 64 sweep."""
    lanes = TILE_BYTES * 8 // tile.dtype.bitwidth
    signature = types.void(tile, types.intp, out)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        tile_p, out_p = (pointer(context, builder, signature.args[a], args[a]) for a in (0, 2))
        vector = ir.VectorType(context.get_value_type(tile.dtype), lanes)
        total = cgutils.alloca_once(builder, vector)
        builder.store(ir.Constant(vector, [0.0] * lanes), total)
        with cgutils.for_range(builder, args[1], intp=args[1].type) as loop:
            at = builder.mul(loop.index, ir.Constant(loop.index.type, lanes))
            x = load(builder, tile_p, at, vector)
            builder.store(multiply_add(builder, x, x, builder.load(total)), total)
        store(builder, builder.load(total), out_p, ir.Constant(args[1].type, 0))
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
@no_type_check
def transpose_square(typing: Any, x: Any, rows: Any, column: Any, origin: Any, tile: Any, lane: Any) -> Any:
    """x[rows, column:column + side] - origin, transposed into `tile` from `lane` on (a side: 64 bytes)."""
    number = tile.dtype
    side = SQUARE_BYTES * 8 // number.bitwidth
    lanes = TILE_BYTES * 8 // number.bitwidth
    signature = types.void(x, rows, types.intp, origin, tile, types.intp)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args
        x_array = context.make_array(kinds[0])(context, builder, args[0])
        width = cgutils.unpack_tuple(builder, x_array.shape, 2)[1]
        rows_p, origin_p, tile_p = (pointer(context, builder, kinds[a], args[a]) for a in (1, 3, 4))
        column_value, lane_value = args[2], args[5]
        size = column_value.type
        vector = ir.VectorType(context.get_value_type(number), side)
        shift = load(builder, origin_p, column_value, vector)
        lines = []
        for i in range(side):
            row = builder.load(builder.gep(rows_p, [builder.add(lane_value, ir.Constant(size, i))]))
            at = builder.add(builder.mul(row, width), column_value)
            lines.append(builder.fsub(load(builder, x_array.data, at, vector), shift))
        for j, line in enumerate(_transposed(builder, lines)):
            place = builder.mul(builder.add(column_value, ir.Constant(size, j)), ir.Constant(size, lanes))
            store(builder, line, tile_p, builder.add(place, lane_value))
        return context.get_dummy_value()

    return signature, codegen


def _transposed(builder: Any, lines: list[Any]) -> list[Any]:
    """By log2(side) rounds, each swapping squares of half the size across the diagonal."""
    side = len(lines)
    half = side // 2
    while half:
        for i in range(side):
            if i & half:
                continue
            a, b = lines[i], lines[i + half]
            low = [t if not t & half else side + t - half for t in range(side)]
            high = [t + half if not t & half else side + t for t in range(side)]
            lines[i], lines[i + half] = (
                builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), side), mask))
                for mask in (low, high)
            )
        half //= 2
    return lines
