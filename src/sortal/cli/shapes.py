"""The --json shapes, as docs/json.md writes them down. Paths keep foreign bytes as surrogate escapes."""

from collections import Counter
from typing import Any

from sortal.data import Refused
from sortal.pile import Group, Pile, Predictions
from sortal.store import QuarantineRow
from sortal.train import Head
from sortal.train.beside import Beside

__all__ = [
    "model_shape",
    "pile_shape",
    "prediction_shape",
    "quarantine_shape",
    "summary_shape",
]


def summary_shape(pile: Pile) -> dict[str, Any]:
    """What `organize` reports."""
    grouping = pile.grouping
    return {
        "pile": str(pile.path),
        "items": len(pile),
        "files": sum(map(len, pile.all_paths)),
        "quarantined": len(pile.quarantine),
        "encoder": {"name": pile.encoder.name, "digest": pile.encoder.digest, "dim": pile.encoder.dim},
        "method": grouping.method if grouping else None,
        "k": grouping.parameters["k"] if grouping else None,
        "params": grouping.parameters.get("params", {}) if grouping else {},
        "seed": grouping.seed if grouping else None,
        "n_groups": len(pile.groups),
        "left_out": int((pile.labels < 0).sum()),
        "candidates": grouping.evidence["candidates"] if grouping else [],
        "suggestion": grouping.evidence.get("suggestion") if grouping else None,
    }


def pile_shape(pile: Pile, groups: list[Group]) -> dict[str, Any]:
    """What `show` reports, with these of the pile's groups."""
    named = sum(name is not None for name in pile.names)
    words = pile.keywords()
    return summary_shape(pile) | {
        "named": named,
        "none_of_these": int(pile.none_of_these.sum()),
        "groups": [_group_shape(pile, group, words.get(group.number, "")) for group in groups],
    }


def _group_shape(pile: Pile, group: Group, keywords: str) -> dict[str, Any]:
    shape = group.shape
    return {
        "number": group.number,
        "name": group.name,
        "size": group.size,
        "named": group.called.named,
        "share": group.called.share,
        "none_of_these": group.called.none,
        "tightness": shape.tightness,
        "keywords": keywords.split(", ") if keywords else [],
        "typical": [pile.paths[i] for i in shape.typical],
        "outliers": [pile.paths[i] for i in shape.outliers],
        "nearest": shape.nearest,
        "nearest_similarity": shape.nearest_similarity,
    }


def quarantine_shape(rows: list[QuarantineRow]) -> dict[str, Any]:
    kinds = Counter(row.kind for row in rows)
    return {
        "kinds": dict(kinds.most_common()),
        "files": [
            {"path": row.path, "kind": row.kind, "reason": row.reason, "since": row.since} for row in rows
        ],
    }


def model_shape(head: Head, model: str, named_by_group: int, beside: Beside | None) -> dict[str, Any]:
    """What `train` reports."""
    return {
        "model": model,
        "labels": list(head.labels),
        "named_by_group": named_by_group,
        "report": head.report.to_json(),
        "beside": None if beside is None else beside.as_json(),
    }


def prediction_shape(found: Predictions) -> dict[str, Any]:
    return {
        "predictions": [
            {
                "path": one.path,
                "name": one.name,
                "confidence": one.confidence,
                "like_nothing_shown": one.like_nothing_shown,
                "novelty": one.novelty,
            }
            for one in found.predictions
        ],
        "refused": [_refused(one) for one in found.refused],
    }


def _refused(one: Refused) -> dict[str, str]:
    return {"path": one.path, "kind": one.kind, "reason": one.reason}
