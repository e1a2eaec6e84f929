"""How a run went, epoch by epoch: as records, as CSV, as a page that asks nothing of any network."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields

from sortal.page import Drawing, Section, Table, page

__all__ = ["Epoch", "curve_csv", "curve_page", "epoch_line"]


@dataclass(frozen=True)
class Epoch:
    """One epoch. Shares lie in 0 to 1; figures of validation are None where nothing was held out.

    `clipped` is the share of steps whose gradient was shortened, `clipped_away` the share of all gradient
    length that this took. `cpu_s` and `wall_s` count the steps, not the validation.
    """

    epoch: int
    steps: int
    lr: float
    loss: float
    right: float
    valid_loss: float | None
    valid_right: float | None
    grad_norm: float | None
    clipped: float | None
    clipped_away: float | None
    cpu_s: float
    wall_s: float


def epoch_line(epoch: Epoch, n_epochs: int) -> str:
    """One epoch as a line of the live curve."""
    parts = [f"epoch {epoch.epoch} of {n_epochs}", f"loss {epoch.loss:.4f}", f"right {epoch.right:.2%}"]
    if epoch.valid_right is not None:
        parts.append(f"held out {epoch.valid_right:.2%}")
    if epoch.clipped:
        parts.append(f"{epoch.clipped:.0%} of steps clipped, by {epoch.clipped_away:.0%} of their length")
    return ", ".join([*parts, f"rate {epoch.lr:.2g}", f"{epoch.cpu_s:.1f} CPU-s"])


def curve_csv(curve: Sequence[Epoch]) -> str:
    """A line an epoch under a line of names; empty cells where there is no figure."""
    out = io.StringIO()
    writer = csv.DictWriter(out, [field.name for field in fields(Epoch)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(epoch) for epoch in curve)
    return out.getvalue()


def curve_page(title: str, facts: Sequence[tuple[str, str]], curve: Sequence[Epoch]) -> str:
    """One HTML file: loss, share of errors and learning rate as drawings, all numbers, `facts`."""
    plots = [
        _plot("loss", curve, {"training": "loss", "validation": "valid_loss"}),
        _plot("share wrong", curve, {"training": "right", "validation": "valid_right"}, lambda y: 1 - y),
        _plot("learning rate", curve, {"rate": "lr"}),
    ]
    columns = tuple(field.name.replace("_", " ") for field in fields(Epoch))
    rows = tuple(tuple("" if y is None else f"{y:.4g}" for y in asdict(one).values()) for one in curve)
    by_epoch = Section("By epoch", drawings=tuple(plot for plot in plots if plot))
    return page(title, (), (by_epoch, Section("All numbers", table=Table(columns, rows))), facts)


def _plot(
    name: str, curve: Sequence[Epoch], lines: dict[str, str], of: Callable[[float], float] = lambda y: y
) -> Drawing | None:
    series = {
        label: [
            (epoch.epoch, of(y))
            for epoch in curve
            if (y := getattr(epoch, key)) is not None and abs(y) < 1e30
        ]
        for label, key in lines.items()
    }
    points = [point for line in series.values() for point in line]
    if not points:
        return None
    first, last = min(x for x, _ in points), max(x for x, _ in points)
    top = max(y for _, y in points) or 1.0
    drawn = ""
    for i, (label, line) in enumerate(series.items()):
        at = [(45 + 340 * (x - first) / max(last - first, 1), 170 - 150 * y / top) for x, y in line]
        if not at:
            continue
        marks = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
        drawn += f'<polyline class="s{i}" points="{marks}"/>'
        drawn += "".join(f'<circle class="s{i}" cx="{x:.1f}" cy="{y:.1f}" r="2"/>' for x, y in at)
        drawn += f'<text class="s{i}" x="{390}" y="{30 + 16 * i}">{label} {line[-1][1]:.3g}</text>'
    axes = '<path d="M45 20V170H385"/><text x="30" y="174">0</text>'
    ends = f'<text x="2" y="24">{top:.3g}</text><text x="45" y="188">{first}</text>'
    if last > first:
        ends += f'<text x="375" y="188">{last}</text>'
    return Drawing(axes + drawn + ends, f"{name} by epoch")
