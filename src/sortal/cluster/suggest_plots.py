"""The evidence of a suggestion, drawn."""

import os
from typing import TYPE_CHECKING, Any

from sortal.errors import InputError, MissingExtra

if TYPE_CHECKING:
    from sortal.cluster.suggestion import Suggestion

__all__ = ["draw"]

FORMATS = (".png", ".svg", ".pdf")


def draw(suggestion: "Suggestion", path: str | os.PathLike[str]) -> None:
    """Four panels: the gap, the indices by k, the k-distance curve, the methods. Needs the extra `plot`."""
    if os.path.splitext(path)[1].lower() not in FORMATS:
        raise InputError(f"a plot must be written to {', '.join(FORMATS)}; got {os.fspath(path)!r}.")
    try:
        from matplotlib.figure import Figure  # no pyplot: no window, no global state
    except ImportError as e:
        raise MissingExtra("Drawing plots", "plot") from e
    figure = Figure(figsize=(11, 8), layout="constrained")
    ((gap, by_k), (curve, methods)) = figure.subplots(2, 2)
    _gap(gap, suggestion)
    _by_k(by_k, suggestion)
    _curve(curve, suggestion)
    _methods(methods, suggestion)
    figure.suptitle(str(suggestion).split("\n", 1)[0], wrap=True, fontsize=10)
    figure.savefig(path)


def _gap(axes: Any, suggestion: "Suggestion") -> None:
    rows = suggestion.numbers
    axes.errorbar(
        [one.k for one in rows], [one.gap for one in rows], [one.gap_error for one in rows], capsize=3
    )
    axes.set(title="tighter than chance", xlabel="groups", ylabel="gap (log)")


def _by_k(axes: Any, suggestion: "Suggestion") -> None:
    rows = [one for one in suggestion.numbers if one.silhouette is not None and one.stability is not None]
    for name in ("silhouette", "stability", "modularity"):
        axes.plot([one.k for one in rows], [getattr(one, name) for one in rows], marker="o", label=name)
    if isinstance(suggestion.k, int) and suggestion.groups:
        axes.axvline(suggestion.k, color="grey", linestyle=":")
    axes.set(title="by number of groups (k-means)", xlabel="groups")
    axes.legend()


def _curve(axes: Any, suggestion: "Suggestion") -> None:
    found = suggestion.distances
    axes.plot(found.curve)
    axes.axhline(found.eps, color="grey", linestyle=":", label=f"knee {found.eps:.4g}")
    if "eps" in suggestion.params:
        eps = suggestion.params["eps"]
        axes.axhline(eps, color="black", linestyle="--", label=f"taken {eps:.4g}")
    axes.set(
        title="k-distance curve", xlabel="rows, sorted", ylabel=f"distance to neighbour {found.min_samples}"
    )
    axes.legend()


def _methods(axes: Any, suggestion: "Suggestion") -> None:
    rows = [one for one in suggestion.methods if one.refused is None]
    for shift, name in enumerate(("silhouette", "density", "stability")):
        at = [i + 0.27 * (shift - 1) for i in range(len(rows))]
        axes.barh(at, [getattr(one, name) or 0 for one in rows], height=0.25, label=name)
    axes.set_yticks(range(len(rows)), [f"{one.method} ({one.n_groups})" for one in rows])
    axes.set(title="methods (groups found)")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=3)  # inside it hides bars
