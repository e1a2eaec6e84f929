"""Answers written by a network that gives scores of the next symbol: greedily, or by beam search."""

from typing import Protocol

import torch
from torch import Tensor

from sortal.errors import InputError
from sortal.tasks.write import BEGIN, END

__all__ = ["Writes", "beam_search", "greedy"]

State = dict[str, Tensor]


class Writes(Protocol):
    """`sortal.nets.Translator` and `Captioner`, after `read`."""

    def write(self, state: State, written: Tensor) -> tuple[Tensor, State]: ...


@torch.inference_mode()
def greedy(net: Writes, state: State, longest: int) -> list[list[int]]:
    """The likeliest symbol, one after the other, until the end or `longest`; one answer a row of `state`."""
    written = state["h"].new_full((len(state["h"]), 1), BEGIN, dtype=torch.long)
    going = torch.ones(len(written), dtype=torch.bool, device=written.device)
    steps: list[Tensor] = []
    for _ in range(longest):
        scores, state = net.write(state, written)
        written = torch.where(going[:, None], scores[:, -1:].argmax(2), 0)
        steps.append(written)
        going &= written[:, 0] != END
        if not bool(going.any()):
            break
    return [_answer(row) for row in torch.cat(steps, 1).tolist()] if steps else [[] for _ in written]


@torch.inference_mode()
def beam_search(net: Writes, state: State, longest: int, width: int = 4) -> list[tuple[list[int], float]]:
    """The best answer of each row that a beam of `width` finds, and its log probability.

    At each step the `width` likeliest beginnings are kept. Answers of unequal length are compared by their
    log probability for each symbol (Graves 2012 compares so; the sum would prefer short ones). `width=1` is
    greedy.
    """
    if width < 1:
        raise InputError(f"a beam's width must be at least 1; got {width}.")
    return [
        _best(net, {name: value[i : i + 1] for name, value in state.items()}, longest, width)
        for i in range(len(state["h"]))
    ]


def _best(net: Writes, state: State, longest: int, width: int) -> tuple[list[int], float]:
    device = state["h"].device
    written: list[list[int]] = [[]]
    totals = torch.zeros(1, device=device)
    last = torch.full((1, 1), BEGIN, device=device)
    done: list[tuple[float, list[int], float]] = []
    for step in range(1, longest + 1):
        scores, state = net.write(state, last)
        each = totals[:, None] + scores[:, -1].float().log_softmax(1)
        best = each.flatten().topk(min(width, each.numel()))
        rows, symbols = best.indices // each.shape[1], best.indices % each.shape[1]
        keep = []
        for i, (row, symbol, total) in enumerate(zip(rows.tolist(), symbols.tolist(), best.values.tolist())):
            if symbol == END:
                done.append((total / step, written[row], total))
            else:
                keep.append((i, [*written[row], symbol]))
        # A beginning can only lose by going on: its sum falls, and `longest` bounds what its length can mend.
        if not keep or len(done) >= width:
            break
        at = torch.tensor([i for i, _ in keep], device=device)
        written, totals, last = [text for _, text in keep], best.values[at], symbols[at][:, None]
        state = {name: value.index_select(0, rows[at]) for name, value in state.items()}
    if not done:  # nothing ended: the likeliest beginning
        return written[0], float(totals[0])
    _, text, total = max(done)
    return text, total


def _answer(row: list[int]) -> list[int]:
    return row[: row.index(END)] if END in row else row
