"""CARD.md: what a person should know before trusting a model."""

import re
from typing import Any

from sortal.progress import counted
from sortal.train.beside import Beside
from sortal.train.novelty import FAR_SHARE, NEAR_SHARE
from sortal.train.report import HeadReport

__all__ = ["write_card"]

MAX_SHOWN = 30  # names in the tables; config.json has all


def write_card(report: HeadReport, config: dict[str, Any], trained_on: str, n_named_by_group: int) -> str:
    """Markdown; names and paths of strangers are shown as plain text."""
    low, high = report.interval
    encoder = plain(str(config["encoder"].get("name", "unknown")))
    before, after = report.calibration.ece
    return f"""# {len(report.names)} names learned by Sortal

Trained on {plain(trained_on)}, {report.n_items} named items and {report.n_none} marked "none of these",
on {config["created"]}. {_what(config, encoder)}

## How good

{_beside_line(config)}{report.accuracy:.1%} of {report.n_held_out} held-out items got their name
(95 % interval {low:.1%} to {high:.1%}). Mean over the names: {report.balanced_accuracy:.1%}.
Always saying the commonest name: {report.majority_share:.1%}.
The items held out were drawn at random from each name ({report.held_out_share:.0%}, at least one);
nothing was learned from them but the confidences and the thresholds below.

| name | learned from | held out | found (recall) | right when said (precision) |
|---|---|---|---|---|
{_name_rows(report)}

Most frequent mistakes:

{_mistakes(report)}

Confidence: mean gap to the share right is {after:.3f} ({before:.3f} before calibration).

## Like nothing it was shown

{report.novelty.known:.1%} of the {report.n_held_out} held-out items are called like nothing shown although
their name is known, each by the thresholds that the others set (about 5 % is meant).
{_few_line(report)}When the rule is made without a third of the names, {report.novelty.left_out:.0%} of the
items of the names left out are noticed.{_flattered(config)}
{_none_line(report)}

## What it cannot do

- It knows these names only. An item of another kind is either noticed (see above) or given one of them.
- The score holds for items like those it was trained on. Near-copies on both sides of the split
  (frames of one film, a burst of photos) make it look better than it is.
- {_group_line(report, n_named_by_group)}
- Names with few held-out items have uncertain figures; see the table.
{"" if report.converged else "- The fit stopped before it had converged." + chr(10)}
## Check and use

`sha256sum -c MANIFEST.sha256` in this folder checks every byte. `sortal predict` uses it.
"""


def _what(config: dict[str, Any], encoder: str) -> str:
    if config["kind"] != "net":
        return f"A linear head on frozen vectors of the encoder {encoder}."
    name, made = plain(str(config["builder"]["name"])), config["builder"]["training"]
    start = f"from the weights {plain(str(made['weights']))}" if made["weights"] else "from nothing"
    if made["how"] == "frozen":
        return f"The network {name} {start}, its body frozen, with a new head."
    what = "trained" if made["how"] == "scratch" else "fine-tuned"
    start = "from nothing" if what == "trained" else start
    return f"The network {name}, {what} {start} in {counted(made['epochs'], 'epoch')}."


def _beside_line(config: dict[str, Any]) -> str:
    """How it stands beside a head on vectors that were there before, where that was measured."""
    found = config["builder"].get("training", {}).get("beside")
    if found is None:
        return ""
    said = str(Beside.from_json(found))
    return f"{plain(said[:1].upper() + said[1:], 400)}.\n\n"


def _flattered(config: dict[str, Any]) -> str:
    """Its body has seen the names that the rule is then made without."""
    if config["kind"] != "net" or config["builder"]["training"]["how"] == "frozen":
        return ""
    return "\nThe network itself has learned those names: of names it never saw, expect fewer."


def plain(text: str, most: int = 80) -> str:
    """One line that Markdown shows as it is, cut at `most` characters."""
    line = "".join(c if c.isprintable() else " " for c in text)
    line = line if len(line) <= most else line[: most - 1] + "…"
    return re.sub(r"([\\`*_{}\[\]<>#|~!&])", r"\\\1", line)


def _name_rows(report: HeadReport) -> str:
    rows = [
        f"| {plain(score.name)} | {score.n_train} | {score.n_held_out} | {score.recall:.1%} | "
        f"{'never said' if score.precision is None else format(score.precision, '.1%')} |"
        for score in report.names[:MAX_SHOWN]
    ]
    more = len(report.names) - MAX_SHOWN
    return "\n".join(rows + ([f"| ... {more} more in config.json | | | | |"] if more > 0 else []))


def _mistakes(report: HeadReport) -> str:
    wrong = sorted((-count, true, called) for true, called, count in report.confusion if true != called)
    if not wrong:
        return "None among the held-out items."
    name = [plain(score.name) for score in report.names]
    return "\n".join(f"- {-count} x {name[true]} called {name[called]}" for count, true, called in wrong[:10])


def _few_line(report: HeadReport) -> str:
    """Above a conformal quantile of n items lies up to 1 in n + 1, however small a share is meant."""
    one_more = 1.0 / (report.n_held_out + 1)
    wrong = max(1.0 - NEAR_SHARE, one_more) + max(1.0 - FAR_SHARE, one_more)
    if wrong < 0.06:
        return ""
    return f"With so few items to set them by, expect up to {wrong:.0%} of further items.\n"


def _none_line(report: HeadReport) -> str:
    if report.novelty.none is None:
        return 'It was shown no held-out item marked "none of these".'
    return f'Of held-out items marked "none of these", {report.novelty.none:.0%} are noticed.'


def _group_line(report: HeadReport, n_named_by_group: int) -> str:
    if not n_named_by_group:
        return "Names were given item by item; what a person named wrongly it has learned wrongly."
    return (
        f"{n_named_by_group} of {report.n_items} names were given to whole groups, not looked at one by one: "
        "where the grouping was wrong, both what it learned and its score share the mistake."
    )
