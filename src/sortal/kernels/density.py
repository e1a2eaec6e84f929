"""Density groups: which points are core, and which group each point falls to."""

from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import product, repeat
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from sortal.arrays import Labels, Mask
from sortal.kernels.threads import map_blocks

if TYPE_CHECKING:
    from sortal.kernels.density_cells import Lattice
    from sortal.kernels.density_leaves import Tree
    from sortal.kernels.density_unions import Met

    Walk = Callable[[Met], None]
    Near = Callable[[slice], tuple[np.ndarray, np.ndarray]]  # whom a block's rows meet: `near_by_distance`

__all__ = ["cosine_density_groups", "density_groups", "spread_groups"]

GRID_DIMENSIONS = 3
LEAF_DIMENSIONS = 64  # boxes of leaves still tell leaves apart
LEAF = 128  # points
LEAVES_A_BLOCK = 2
SHARED_LEVELS = 2  # of the tree: what lies below them is for threads
NOTE = 2**16  # numbers: where more are near than fit, they meet at once
FEW_ROWS = 8192  # of one to three dimensions, done in one call
# Pairs of points of one cell; with those of its neighbours 25 ms: Ctrl-C is heard, and threads end together.
WORK_A_BLOCK = 2**21
ROWS_GATHERED = 2**15  # at a time
STRETCHES = 32  # of cells that are joined one beside the other: as many as a few threads share evenly
ROWS_A_BLOCK = 1024
BLOCKS_AT_ONCE = 16  # what was met in some lets later pairs be left out
MOST_REMEMBERED = 128  # neighbours of a point: 512 bytes
WORK_A_CALL = 2**31  # differences of coordinates, a second: Ctrl-C is heard between calls
MOST_CELLS_A_SIDE = 2**31  # cell numbers then err by less than 2**-20 of a cell
SHRINK = 1 - 2**-16  # of the cell, far more than that


def density_groups(
    x: Float[np.ndarray, "n d"],
    squared_radius: float,
    min_samples: int,
    weights: Float[np.ndarray, " n"] | None = None,
) -> tuple[Labels, Mask]:
    """The group of each row (intp; noise -1), and which rows are core.

    Rows are neighbours where the sum of squared differences, taken in float64 axis by axis, is at most
    `squared_radius`; core with at least `min_samples` neighbours, itself counted. Core rows within reach of
    each other share a group; groups are numbered by their smallest core row; a row that is not core falls to
    the lowest group within reach. With `weights` (float64) their sum over the neighbours takes the place of
    the number; `ArithmeticError` where the order of summing could decide whether a row is core. Values and
    radius must be such that squares neither overflow nor vanish.
    """
    n, d = x.shape
    min_samples = min(min_samples, n + 1) if weights is None else min_samples
    x = np.ascontiguousarray(x).view()
    x.flags.writeable = False  # so that loops are compiled for one kind of array
    if d <= GRID_DIMENSIONS and weights is None:
        from sortal.kernels.density_cells import corners

        low, high = corners(x)
        sides = (high - low) / (SHRINK * (squared_radius / d) ** 0.5)
        if sides.max() < MOST_CELLS_A_SIDE and np.prod(sides + 5) < 2.0**62:
            return _by_grid(x, low, sides, squared_radius, min_samples)
    order, walk = (_leaves if d <= LEAF_DIMENSIONS else _products)(x, squared_radius)
    return _walked(order, walk, min_samples, weights)


def _walked(
    order: np.ndarray, walk: "Walk", min_samples: int, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Labels and core points, given a walk on which all pairs meet that can change anything.

    Where points would have to remember too many neighbours, or these have weights, it takes three walks,
    or one where few pairs meet.
    """
    from sortal.kernels.density_unions import JOIN, REACH, core_groups, finish, meet_again, strangers, weigh

    enough = min(min_samples, len(order) + 1)
    if weights is None and enough <= MOST_REMEMBERED:
        met = strangers(len(order), enough)
        walk(met)
        return finish(met, order), _scattered(met.core, order)
    met = weigh(np.ones(len(order)) if weights is None else weights[order])
    walk(met)
    if weights is not None:
        _refuse_doubt(met.mass, weights, min_samples)
    met.core[:] = met.mass >= min_samples
    again = meet_again if met.n_pairs[0] <= len(met.pairs) else walk
    again(met._replace(turn=JOIN))
    met.lowest[:] = core_groups(met, order)
    met = met._replace(turn=REACH)
    again(met)
    return finish(met, order), _scattered(met.core, order)


def _refuse_doubt(mass: np.ndarray, weights: np.ndarray, min_samples: int) -> None:
    units = weights * 2.0**20
    if (units == np.round(units)).all() and np.abs(units).sum() < 2.0**53:
        return  # whole numbers, halves: every sum is exact
    scale = min_samples if weights.min() >= 0 else np.abs(weights).sum()
    if (np.abs(mass - min_samples) <= 4 * len(mass) * 2.0**-53 * scale).any():
        raise ArithmeticError("weights of some neighbours add up to min_samples within rounding")


def _by_grid(
    x: np.ndarray, low: np.ndarray, sides: np.ndarray, squared_radius: float, min_samples: int
) -> tuple[np.ndarray, np.ndarray]:
    from sortal.kernels import density_grid as grid

    n = len(x)
    lattice, n_bits = _lattice(low, sides, squared_radius)
    found: tuple[np.ndarray, np.ndarray]
    if n <= FEW_ROWS:
        found = grid.in_one_call(x, lattice, n_bits, squared_radius, min_samples)
        return found
    order, cells = grid.sorted_cells(x, lattice, n_bits)
    points = np.empty((x.shape[1], n))
    _each_part(lambda begin, end: grid.gather(x, order, begin, end, points), [*range(0, n, ROWS_GATHERED), n])
    state, labels = np.empty(n, np.uint8), np.empty(n, np.intp)
    cuts = _cuts(cells.begins).tolist()
    field = points, cells, lattice, squared_radius
    _each_part(lambda begin, end: grid.find_core(*field, min_samples, begin, end, state), cuts)
    groups = _joined(order, state, *field)
    look = points, order, cells, state, groups, lattice, squared_radius
    _each_part(lambda begin, end: grid.label_points(*look, begin, end, labels), cuts)
    return labels, _scattered(state == grid.CORE, order)


def _joined(
    order: np.ndarray, state: np.ndarray, points: np.ndarray, cells: Any, lattice: Any, squared_radius: float
) -> np.ndarray:
    """The group of each core point, n for others; within parts, core points are brought to the front.

    Stretches of cells are joined one beside the other, then across the cuts between them.
    """
    from sortal.kernels import density_grid as grid

    n_core = np.empty(len(cells.corners), np.int32)
    parent = np.arange(len(n_core), dtype=np.int32)
    cuts = np.unique(np.linspace(0, len(cells.keys), STRETCHES + 1).astype(np.int64))

    def among(begin: int, end: int) -> None:
        grid.core_first(points, order, cells, begin, end, state, n_core)
        grid.join_among(points, cells, n_core, lattice, squared_radius, begin, end, parent)

    _each_part(among, cuts.tolist())
    grid.join_across(points, cells, n_core, lattice, squared_radius, cuts, parent)
    groups: np.ndarray = grid.groups_of_points(order, cells.starts, n_core, parent)
    return groups


def _each_part(work: Callable[[int, int], object], cuts: list[int]) -> None:
    """`work(begin, end)` between each cut and the next, on all threads."""
    list(map_blocks(lambda part: work(cuts[part.start], cuts[part.stop]), len(cuts) - 1, 1))


def _cuts(begins: np.ndarray) -> np.ndarray:
    """Points between which a block of work lies; `begins` are the first points of the cells.

    A cell may hold any number of points. A block of whole cells took a minute where a part of the plane had
    too few points for min_samples, and all cells together were one block.
    """
    counts = np.diff(begins).astype(np.float64)
    a_point = counts + 64  # whatever the number of its neighbours, a point costs about so many pairs
    work = np.concatenate([[0.0], np.cumsum(counts * a_point)])
    at = np.arange(0, work[-1], WORK_A_BLOCK)
    cell = np.searchsorted(work, at, side="right") - 1
    cuts = begins[cell] + ((at - work[cell]) / a_point[cell]).astype(np.int64)
    return np.append(np.unique(cuts), begins[-1])


def _lattice(low: np.ndarray, sides: np.ndarray, squared_radius: float) -> tuple["Lattice", int]:
    """The lattice, with an empty cell at each end so that no row runs into another; bits of its keys."""
    from sortal.kernels.density_cells import Lattice

    d = len(low)
    extents = [int(side) // 2 + 3 for side in sides]
    strides = np.array([prod(extents[k + 1 :]) for k in range(d)], np.int64)
    per_side = 1 / (SHRINK * (squared_radius / d) ** 0.5)
    steps, ahead, how_near = _steps(d)
    rows = steps @ strides[:-1]
    lattice = Lattice(low, per_side, strides, steps, rows, rows[ahead], how_near)
    return lattice, (prod(extents) << d).bit_length()


@cache
def _steps(d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """To all rows of cells at most one away along each axis, nearest first; which are ahead; their parts."""
    from sortal.kernels.density_cells import FAR, NEAR, OWN

    steps = np.array(list(product(range(-1, 2), repeat=d - 1)), np.int64)
    steps = steps[np.argsort((steps**2).sum(axis=1), kind="stable")]
    ahead = np.array([r for r, step in enumerate(steps.tolist()) if step >= [0] * (d - 1)])
    to_cells = np.stack([np.insert(steps[ahead], d - 1, last, axis=1) for last in (-1, 0, 1)], axis=1)
    corners = np.array(list(product(range(2), repeat=d)), np.int64)
    apart = np.abs(2 * to_cells[:, :, None, None] + corners - corners[:, None]).max(axis=-1)
    how_near = np.select([apart <= 1, apart == 2], [NEAR, FAR], 0).astype(np.uint8)
    how_near[0, 1] = OWN
    return steps, ahead, how_near


def _scattered(values: np.ndarray, order: np.ndarray) -> np.ndarray:
    out = np.empty_like(values)
    out[order] = values
    return out


def _leaves(x: np.ndarray, squared_radius: float) -> tuple[np.ndarray, "Walk"]:
    from sortal.kernels import density_leaves as leaves
    from sortal.kernels.density_unions import LEARN

    n, d = x.shape
    radius = squared_radius**0.5
    order, tree = _planted(x, radius)
    # A coordinate errs by its rounding to float32, and by float64's before the center was taken off.
    largest = float(np.abs(tree.points).max())
    error = 2 * d**0.5 * (2.0**-24 * largest + 2.0**-51 * _largest(x) / radius)
    relative = (2 * d + 16) * 2.0**-24
    lower = max(0.0, 1 - relative - error) ** 2
    upper = (1 + relative + error) ** 2
    span = leaves.Radius(squared_radius, np.float32(lower), np.float32(upper))
    at_once = max(1, WORK_A_CALL // (LEAF * n * d))

    def join(part: slice, met: "Met", note: np.ndarray) -> None:
        leaves.join_leaves(x, order, tree, span, part.start, min(part.stop, 1 << tree.depth), met, note)

    def walk(met: "Met") -> None:
        """Threads look ahead while points learn; weights are summed in one order, by one thread."""
        learns = met.turn == LEARN
        block = min(at_once, LEAVES_A_BLOCK) if learns else at_once
        _join_in_turn(join, 1 << tree.depth, block, met, ahead=learns)

    return order, walk


def _planted(x: np.ndarray, radius: float) -> tuple[np.ndarray, "Tree"]:
    """The rows in kd order, and their tree: threads share what lies below its first levels."""
    from sortal.kernels import density_leaves as leaves

    n = len(x)
    depth = max(0, int(np.ceil(np.log2(n / LEAF))))
    top = min(SHARED_LEVELS, depth)
    center = x.mean(axis=0, dtype=np.float64)
    order, values = np.arange(n, dtype=np.int32), np.empty(n, x.dtype)
    points = np.empty(x.shape, np.float32)

    def below(part: slice) -> None:
        for node in range(part.start, part.stop):
            leaves.split(x, order, values, top, node, depth)
            leaves.scale(x, order, center, radius, (node * n) >> top, ((node + 1) * n) >> top, points)

    leaves.split(x, order, values, 0, 0, top)
    list(map_blocks(below, 1 << top, 1 if n > FEW_ROWS else 1 << top))
    return order, leaves.Tree(points, leaves.bounds(points, depth), depth)


def _join_in_turn(
    join: "Callable[[slice, Met, np.ndarray], None]", n_leaves: int, block: int, met: "Met", ahead: bool
) -> None:
    """Leaves meet in their order. `ahead`: threads have noted by then who is near, unless too many are."""
    from sortal.kernels.density_leaves import empty_note, meet_noted

    def look(part: slice) -> np.ndarray | None:
        note = empty_note(NOTE)
        join(part, met, note)
        return note[: note[0]].copy() if note[0] <= len(note) else None

    directly = empty_note(1)
    notes = map_blocks(look, n_leaves, block) if ahead else repeat(None)
    for at, note in zip(range(0, n_leaves, block), notes, strict=False):
        if note is None:
            join(slice(at, at + block), met, directly)
        else:
            meet_noted(note, met)


def _largest(x: np.ndarray) -> float:
    return max(float(x.max()), -float(x.min()))


def _products(x: np.ndarray, squared_radius: float) -> tuple[np.ndarray, "Walk"]:
    from sortal.kernels.density_products import near_by_distance

    center = x.mean(axis=0, dtype=np.float64)
    radius = squared_radius**0.5

    def scaled(rows: slice, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
        block = ((x[rows] - center) / radius).astype(dtype)
        return block, np.einsum("nd,nd->n", block, block, dtype=np.float64)

    # A product of rows a and b errs by at most about d / 2 roundings of |a|^2 + |b|^2. Where the radius is so
    # small beside the norms that most pairs near it would be in doubt, float64 takes the products too.
    slack = 2 * (x.shape[1] + 8) * 2.0**-24
    dtype = (
        np.float32
        if slack * max(scaled(rows, np.float64)[1].mean() for rows in _blocks(len(x))) < 0.02
        else np.float64
    )
    slack = slack if dtype == np.float32 else slack * 2.0**-29

    def facing(mine: slice) -> "Near":
        own, norms = scaled(mine, dtype)

        def near(theirs: slice) -> tuple[np.ndarray, np.ndarray]:
            other, other_norms = scaled(theirs, dtype)
            ends, rows = near_by_distance(
                x, own @ other.T, norms, other_norms, mine.start, theirs.start, slack, squared_radius
            )
            return ends, rows

        return near

    return np.arange(len(x), dtype=np.int32), partial(_meet_blocks, len(x), facing)


def _blocks(n: int) -> list[slice]:
    return [slice(at, min(at + ROWS_A_BLOCK, n)) for at in range(0, n, ROWS_A_BLOCK)]


def _meet_blocks(n: int, facing: "Callable[[slice], Near]", met: "Met") -> None:
    """Let the rows that are near meet, in the order of the blocks, while threads are at the next ones.

    Pairs of blocks that are all core and in one group already are left out.
    """
    from sortal.kernels.density_products import meet_pairs
    from sortal.kernels.density_unions import settled

    blocks = _blocks(n)
    for at, mine in enumerate(blocks):
        near = facing(mine)
        for first in range(at, len(blocks), BLOCKS_AT_ONCE):
            others = blocks[first : first + BLOCKS_AT_ONCE]
            root = settled(mine.start, mine.stop, met)
            if root >= 0:
                others = [rows for rows in others if settled(rows.start, rows.stop, met) != root]
            for ends, rows in _each(near, others):
                meet_pairs(mine.start, ends, rows, met)


def _each(near: "Near", blocks: list[slice]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    return map_blocks(lambda one: near(blocks[one.start]), len(blocks), 1)


def cosine_density_groups(
    units: Float[np.ndarray, "n d"],
    least: float,
    min_samples: int,
    weights: Float[np.ndarray, " n"] | None = None,
) -> tuple[Labels, Mask]:
    """As `density_groups`, where rows are neighbours whose inner product is at least `least`.

    Products are taken in the type of `units`, in blocks, each pair once.
    """
    from sortal.kernels.density_products import near_by_cosine

    bound = units.dtype.type(least)

    def facing(mine: slice) -> "Near":
        return lambda theirs: near_by_cosine(units[mine] @ units[theirs].T, mine.start, theirs.start, bound)

    walk = partial(_meet_blocks, len(units), facing)
    return _walked(np.arange(len(units), dtype=np.int32), walk, min_samples, weights)


def spread_groups(
    starts: Int[np.ndarray, " n_plus_one"], neighbors: Int[np.ndarray, " m"], core: Mask
) -> Labels:
    """The group of each point (intp; noise -1), given that i reaches `neighbors[starts[i]:starts[i + 1]]`.

    Reach may go one way only. From each core point without a group, in order, a new group spreads over all
    that core points reach and no earlier group has taken.
    """
    from sortal.kernels.density_graph import spread

    labels: Labels = spread(starts, neighbors, core)
    return labels
