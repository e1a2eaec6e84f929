"""The evidence of a suggestion, drawn."""

import os
from typing import TYPE_CHECKING, Any

from sortal.errors import InputError, MissingExtra

if TYPE_CHECKING:
    from sortal.cluster.suggestion import Suggestion

__all__ = ["draw"]

FORMATS = (".png", ".svg", ".pdf")


def draw(suggestion: "Suggestion", path: str | os.PathLike[str]) -> None:
    """The gap, indices by k, methods, k-distance curve, eps and gamma. Needs the extra `plot`."""
    if os.path.splitext(path)[1].lower() not in FORMATS:
        raise InputError(f"a plot must be written to {', '.join(FORMATS)}; got {os.fspath(path)!r}.")
    try:
        from matplotlib.figure import Figure  # no pyplot: no window, no global state
    except ImportError as e:
        raise MissingExtra("Drawing plots", "plot") from e
    figure = Figure(figsize=(15, 8), layout="constrained")
    panels = (_gap, _by_k, _methods, _curve, _eps, _gammas)
    for panel, axes in zip(panels, figure.subplots(2, 3).flat, strict=True):
        panel(axes, suggestion)
    figure.suptitle(str(suggestion).split("\n", 1)[0], wrap=True, fontsize=10)
    figure.savefig(path)


def _gap(axes: Any, suggestion: "Suggestion") -> None:
    rows = suggestion.numbers
    axes.errorbar(
        [one.k for one in rows], [one.gap for one in rows], [one.gap_error for one in rows], capsize=3
    )
    axes.set(title="tighter than chance", xlabel="groups", ylabel="gap (log)")
    axes.xaxis.get_major_locator().set_params(integer=True)


def _by_k(axes: Any, suggestion: "Suggestion") -> None:
    rows = [one for one in suggestion.numbers if one.silhouette is not None and one.stability is not None]
    for name in ("silhouette", "stability", "modularity"):
        label = "modularity above chance" if name == "modularity" else name
        axes.plot([one.k for one in rows], [getattr(one, name) for one in rows], marker="o", label=label)
    if isinstance(suggestion.k, int) and suggestion.groups:
        axes.axvline(suggestion.k, color="grey", linestyle=":")
    axes.set(title="by number of groups (k-means)", xlabel="groups")
    axes.xaxis.get_major_locator().set_params(integer=True)
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


def _eps(axes: Any, suggestion: "Suggestion") -> None:
    rows = [one for one in suggestion.eps if one.n_groups > 1]
    at = [one.params["eps"] for one in rows]
    for name in ("density", "stability"):
        axes.plot(at, [getattr(one, name) for one in rows], "o-", label=name)
    for one, eps in zip(rows, at, strict=True):
        _number(axes, one.n_groups, eps, one.density or 0)
    axes.set(title="DBSCAN (groups found)", xlabel="eps")
    axes.legend()


def _gammas(axes: Any, suggestion: "Suggestion") -> None:
    rows = suggestion.gammas
    axes.plot([one.gamma for one in rows], [one.separate for one in rows], "o-")
    for one in rows:
        _number(axes, one.k, one.gamma, one.separate)
    axes.set(title="kernels (parts)", xlabel="gamma", ylabel="eigenvalue; 1: nothing between the parts")


def _number(axes: Any, groups: int, x: float, y: float) -> None:
    axes.annotate(str(groups), (x, y), (0, 5), textcoords="offset points")


def _methods(axes: Any, suggestion: "Suggestion") -> None:
    rows = [one for one in suggestion.methods if one.refused is None]
    for shift, name in enumerate(("silhouette", "density", "stability")):
        at = [i + 0.27 * (shift - 1) for i in range(len(rows))]
        axes.barh(at, [getattr(one, name) or 0 for one in rows], height=0.25, label=name)
    axes.set_yticks(range(len(rows)), [f"{one.method} ({one.n_groups})" for one in rows])
    axes.set(title="methods (groups found)")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=3)  # inside it hides bars
