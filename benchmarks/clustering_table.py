"""From what was measured to two tables: one line a row of the goals, then one line a contender.

The ratio is a peer's seconds by ours: CPU seconds on one thread, wall seconds on more. Only peers with an
answer equal to ours can be the best; the others are shown with what differs.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from measure import table

Record = dict[str, Any]
SLACK_MB = 1.0  # of memory: what the allocator holds is not told more finely


def render(rows: Mapping[str, Any], records: list[Record]) -> str:
    known = [name for name in rows if any(one["row"] == name for one in records)]
    lines = [summary(name, rows[name], [one for one in records if one["row"] == name]) for name in known]
    details = [line for name in known for line in detail(name, rows[name], records)]
    below = [f"{one['row']} {one['contender']}" for one in details if str(one["ratio"]).endswith("(!)")]
    return "\n\n".join(
        [
            table(lines),
            f"Ratios below 1 (!): {', '.join(dict.fromkeys(below)) or 'none'}.",
            "Ratios by CPU seconds on one thread, by wall seconds on two. Memory is the rise of the peak "
            "above loaded data, in MB, imported code apart (rows about a fresh process: all of it); "
            f"the least peer's counts, and up to {SLACK_MB:g} MB more passes. In brackets: another answer.",
            table(details),
        ]
    )


def seconds(record: Record) -> float:
    return float(np.median(record["cpu_s" if record["threads"] == 1 else "wall_s"]))


def memory(record: Record) -> float:
    return float(np.median(record["peak_mb"]))


def packages(row: Any) -> tuple[str, ...]:
    return tuple(row.code) if hasattr(row, "code") else tuple(row.packages)


def at(row: Any, records: list[Record], threads: int) -> tuple[Record | None, list[Record]]:
    """Our record and the peers' on so many threads."""
    here = {one["contender"]: one for one in records if one["threads"] == threads}
    ours, *others = packages(row)
    beside = getattr(row, "beside", ())
    return here.get(ours), [here[one] for one in others if one in here and one not in beside]


def summary(name: str, row: Any, records: list[Record]) -> Record:
    line: Record = {"row": name}
    verdicts: dict[int, bool] = {}
    for threads in sorted({one["threads"] for one in records}):
        ours, peers = at(row, records, threads)
        fair = [one for one in peers if one.get("equal", True)]
        label = f"{threads} thread{'s' * (threads > 1)}"
        line[f"best peer, {label}"] = line[f"ratio, {label}"] = None
        if ours is None or not fair:
            continue
        best = min(fair, key=seconds)
        line[f"best peer, {label}"] = best["contender"]
        line[f"ratio, {label}"] = _marked(seconds(best) / seconds(ours))
        if wanted := getattr(row, "goal", {}):
            verdicts[threads] = reached(wanted, ours, peers)
        if threads == 1 or "MB ours / least peer" not in line:
            line |= _memory(ours, fair)
    line["goal"] = _goal(getattr(row, "goal", {}))
    line["reached"] = _in_words(verdicts)
    line["of the matrix-product peak"] = share_of_peak(row, records)
    order = ["row", *sorted(key for key in line if key.endswith(("thread", "threads"))), "goal", "reached"]
    tail = ["MB ours / least peer", "memory no higher", "of the matrix-product peak"]
    return {key: line.get(key) for key in [*order, *tail]} | {"note": row.note or None}


def reached(wanted: dict[str, float], ours: Record, peers: list[Record]) -> bool:
    """ "best" and "each" are held against peers with our answer, a package's name whatever its answer."""
    held = [
        seconds(peer) / seconds(ours) >= least
        for package, least in wanted.items()
        for peer in peers
        if peer["contender"] == package or (package in ("best", "each") and peer.get("equal", True))
    ]
    return bool(held) and all(held)


def _memory(ours: Record, peers: list[Record]) -> Record:
    least = min(peers, key=memory)
    return {
        "MB ours / least peer": f"{memory(ours):.0f} / {memory(least):.0f} {least['contender']}",
        "memory no higher": "yes" if memory(ours) <= memory(least) + SLACK_MB else "no",
    }


def share_of_peak(row: Any, records: list[Record]) -> str | None:
    """The time of the assignments' matrix products alone by the time of our whole fit."""
    if "sgemm" not in getattr(row, "beside", ()):
        return None
    here = {(one["contender"], one["threads"]): one for one in records}
    shares = [
        f"{seconds(here['sgemm', threads]) / seconds(here[packages(row)[0], threads]):.0%}"
        for threads in sorted({one["threads"] for one in records})
        if ("sgemm", threads) in here and (packages(row)[0], threads) in here
    ]
    return ", ".join(shares)


def detail(name: str, row: Any, records: list[Record]) -> list[Record]:
    mine = [one for one in records if one["row"] == name]
    lines = []
    for threads in sorted({one["threads"] for one in mine}):
        ours, peers = at(row, mine, threads)
        here = {one["contender"]: one for one in mine if one["threads"] == threads}
        for package in packages(row):
            if package in here:
                lines.append(_line(row, here[package], ours, peers))
    return lines


def _line(row: Any, one: Record, ours: Record | None, peers: list[Record]) -> Record:
    is_peer = any(one is peer for peer in peers)
    ratio = seconds(one) / seconds(ours) if ours is not None and is_peer else None
    equal = one.get("equal", True)
    fair = [peer for peer in peers if peer.get("equal", True)]
    best = bool(fair) and one is min(fair, key=seconds)
    goals = getattr(row, "goal", {})
    common = goals.get("best") if best else None
    least = goals.get(one["contender"], goals.get("each", common) if equal else None)
    return {
        "row": one["row"],
        "contender": one["contender"],
        "threads": one["threads"],
        "CPU s (least to most)": _spread(one["cpu_s"]),
        "wall s (least to most)": _spread(one["wall_s"]),
        "peak MB": f"{memory(one):.0f}",
        "MB, ours / this": None if ours is None or not is_peer else _quotient(memory(ours), memory(one)),
        "ratio": None if ratio is None else _marked(ratio) if equal else f"[{_marked(ratio)}]",
        "goal": least if is_peer else None,
        "reached": None if ratio is None or least is None else "yes" if ratio >= least else "no",
        "answer against ours": one.get("answer"),
    }


def _marked(ratio: float) -> str:
    return f"{ratio:.3g}" + (" (!)" if ratio < 1 else "")


def _quotient(ours: float, theirs: float) -> str:
    return "both under 1 MB" if max(ours, theirs) < 1 else f"{ours / max(theirs, 0.1):.2g}"


def _goal(goals: dict[str, float]) -> str | None:
    return ", ".join(f"{least:g} x {package}" for package, least in goals.items()) or None


def _in_words(verdicts: dict[int, bool]) -> str | None:
    if not verdicts:
        return None
    if all(verdicts.values()):
        return "yes"
    kept = [threads for threads, fine in verdicts.items() if fine]
    return f"on {kept[0]} only" if kept else "no"


def _spread(values: list[float]) -> str:
    least, most = min(values), max(values)
    scatter = f" ({least:.3g} to {most:.3g})" if len(values) > 1 else " (once)"
    return f"{np.median(values):.3g}{scatter}"
