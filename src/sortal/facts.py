"""What the page says of how a pile was made: encoder, method, numbers of groups that were weighed."""

from typing import Any

from sortal.arrays import Labels
from sortal.data import shown
from sortal.explore import Candidates, Fact
from sortal.store import EncoderRow, Grouping, Store
from sortal.train.beside import Beside

__all__ = ["candidates", "facts"]


def facts(store: Store, encoder: EncoderRow, grouping: Grouping | None) -> list[Fact]:
    found = [Fact("encoder", f"{encoder.name}, {encoder.dim:,} numbers an item")]
    if (compared := _compared(encoder.spec)) is not None:
        found.append(Fact("beside a plain head", compared))
    if grouping is not None:
        versions = {run.id: run.versions for run in store.runs()}.get(grouping.run, {})
        found += [
            Fact("method", f"{grouping.method}{_settings(grouping.parameters)}, seed {grouping.seed}"),
            Fact("grouped", f"{grouping.created}, in {grouping.evidence.get('seconds', 0)} s"),
            Fact("versions", ", ".join(f"{key} {value}" for key, value in versions.items())),
        ]
        if "suggestion" in grouping.evidence:
            found.append(Fact("suggested", str(grouping.evidence["suggestion"].get("reason", ""))))
    return [*found, *(Fact("source", shown(row.location)) for row in store.sources())]


def candidates(grouping: Grouping, labels: Labels) -> Candidates | None:
    """The numbers of groups that `-k auto` weighed before it found `labels`; None where k was given."""
    rows = grouping.evidence.get("candidates", [])
    if not rows:
        return None
    taken = int(labels.max()) + 1
    numbers = [row["n_clusters"] for row in rows]
    return Candidates(
        columns=("groups", "modularity", "silhouette", "eigengap"),
        rows=tuple((r["n_clusters"], r["modularity"], r["silhouette"], r["eigengap"]) for r in rows),
        chosen=numbers.index(taken) if taken in numbers else None,
        note="A guess: no criterion is good. Too many groups is the cheaper mistake, a merge is one act.",
    )


def _compared(spec: dict[str, Any]) -> str | None:
    """How a trained encoder stood beside a plain one, if it says so: it may be a stranger's."""
    try:
        return shown(str(Beside.from_json(spec["trained"]["beside"])))
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _settings(parameters: dict[str, Any]) -> str:
    named = {"k": parameters["k"]} | parameters.get("params", {})
    return "".join(f", {key}={value}" for key, value in named.items())
