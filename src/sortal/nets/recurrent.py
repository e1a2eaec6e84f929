"""What RNN, GRU and LSTM share: layers, both directions, unequal lengths, state in and out.

    net = nets.GRU(28, 128, seed=0)
    output, h_n = net(x)                       # x float (B, T, 28) -> (B, T, 128), (1, B, 128)
    output, h_n = net(x, h_n, lengths)         # goes on from h_n; lengths (B,), 0 included
    y, h_n = net.step(x_t, h_n)                # one step of a stream
    net.fused = False                          # the equations of the class's own file, step by step

Each class is torch's own module with torch's names for its parameters, so state dicts of either load into
the other. `fused` says which path runs: torch's fused kernels (True, at first) or the class's `cell` at every
step. Nothing else switches between them, and both give the same numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from sortal.errors import InputError
from sortal.nets.network import traced
from sortal.nets.recurrent_weights import Weights

__all__ = ["Recurrent", "State", "Trace", "lengths_of"]

State = Tensor | tuple[Tensor, Tensor]  # h, or the LSTM's (h, c): (num_layers * directions, B, H) each


@dataclass(frozen=True)
class Trace:
    """Every step of every layer: what the states and gates were. Where a sequence has ended there are zeros.

    `values["h"]` and so on have the shape (num_layers * directions, B, T, H); the order of the first axis is
    torch's: layer 0 forward, layer 0 backward, layer 1 forward.
    """

    output: Tensor
    state: State
    values: Mapping[str, Tensor]


class Recurrent(Weights):
    """`input_size` numbers a step in, `hidden_size` out; dropout between layers, not within; batch first."""

    states: ClassVar[tuple[str, ...]] = ("h",)
    fused = True

    @staticmethod
    def cell(
        x: Tensor, state: tuple[Tensor, ...], w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor
    ) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
        """One step: the new state, and the gates on the way to it."""
        raise NotImplementedError

    # ---- sequences

    def forward(
        self, x: Tensor | PackedSequence, h0: State | None = None, lengths: Any = None
    ) -> tuple[Any, Any]:
        """`output` (B, T, directions * H) of the last layer at every step, and the final state.

        `h0` and the final state are torch's: (num_layers * directions, B, H), for the LSTM a pair. With
        `lengths`, (B,) whole numbers from 0 to T, what lies behind a sequence's end is never read, and
        `output` is zero there; the final state is that after its last step, `h0` for length 0. A single
        sequence (T, F) and a PackedSequence give what they give in torch. `InputError` where x, h0 or lengths
        do not fit.
        """
        if isinstance(x, PackedSequence):
            return self._packed(x, h0, lengths)
        if x.ndim == 2:
            return self._single(x, h0, lengths)
        if lengths is None and self.fused and (traced() or torch.compiler.is_compiling()):
            return super().forward(x, h0)  # type: ignore[no-any-return]
        states, ends = self._checked(x, h0, lengths)
        if not self.fused:
            found = self._written(x, states, ends)
            return found.output, found.state
        if ends is None and x.shape[1]:
            return super().forward(x, self._torchs(states))  # type: ignore[no-any-return]
        return self._fused(x, states, torch.zeros(len(x), dtype=torch.long) if ends is None else ends)

    def step(self, x: Tensor, state: State | None = None) -> tuple[Tensor, Any]:
        """The next step of B streams, x (B, F): output (B, H), and the state for the step after it."""
        if self.bidirectional:
            raise InputError(
                "step needs a network of one direction: the other begins at a sequence's end, which a stream "
                "does not have. Build it with bidirectional=False."
            )
        if x.ndim != 2:
            raise InputError(f"x must have the shape (batch, {self.input_size}); got {tuple(x.shape)}.")
        output, state = self(x[:, None], state)
        return output[:, 0], state

    def trace(self, x: Tensor, h0: State | None = None, lengths: Any = None) -> Trace:
        """As `forward` by the written equations, with every state and gate on the way."""
        states, ends = self._checked(x, h0, lengths)
        return self._written(x, states, ends)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, fused={self.fused}"

    # ---- the two paths

    def _fused(self, x: Tensor, states: tuple[Tensor, ...], ends: Tensor) -> tuple[Tensor, State]:
        """torch's kernels over the steps that are there."""
        ends = ends.cpu()
        if not len(ends) or not ends.all():
            return self._without_empty(x, states, ends)
        packed = pack_padded_sequence(x, ends, batch_first=True, enforce_sorted=False)
        ran, final = super().forward(packed, self._torchs(states))
        output, _ = pad_packed_sequence(ran, batch_first=True, total_length=x.shape[1])
        return output, final

    def _without_empty(self, x: Tensor, states: tuple[Tensor, ...], ends: Tensor) -> tuple[Tensor, State]:
        """Empty sequences stay out, since packing refuses them, and keep the state they came with."""
        output = x.new_zeros(*x.shape[:2], self.hidden_size * (1 + self.bidirectional))
        alive = ends.nonzero().flatten().to(x.device)
        if not len(alive):
            return output, self._torchs(states)
        begun = tuple(s.index_select(1, alive) for s in states)
        ran, final = self._fused(x.index_select(0, alive), begun, ends[ends > 0])
        after = (final,) if isinstance(final, Tensor) else final
        put = tuple(s.to(f.dtype).index_copy(1, alive, f) for s, f in zip(states, after))
        return output.to(ran.dtype).index_copy(0, alive, ran), self._torchs(put)

    def _written(self, x: Tensor, states: tuple[Tensor, ...], ends: Tensor | None) -> Trace:
        """`cell` at every step, layer by layer; a sequence that has ended, or not begun, keeps its state."""
        here = None
        if ends is not None:
            here = torch.arange(x.shape[1], device=x.device) < ends.to(x.device)[:, None]
            x = x.masked_fill(~here[:, :, None], 0)  # whatever lies there, NaN too
        directions = 1 + self.bidirectional
        runs: list[tuple[dict[str, Tensor], tuple[Tensor, ...]]] = []
        for i, weights in enumerate(self.all_weights):
            if i and i % directions == 0:
                x = self._between(torch.cat([run["h"] for run, _ in runs[-directions:]], 2))
            runs.append(self._run(x, tuple(s[i] for s in states), weights, here, backward=i % directions))
        output = torch.cat([run["h"] for run, _ in runs[-directions:]], 2)
        final = tuple(torch.stack(parts) for parts in zip(*(final for _, final in runs)))
        values = {name: torch.stack([run[name] for run, _ in runs]) for name in runs[0][0]}
        return Trace(output, self._torchs(final), values)

    def _run(
        self,
        x: Tensor,
        state: tuple[Tensor, ...],
        weights: list[nn.Parameter],
        here: Tensor | None,
        *,
        backward: int,
    ) -> tuple[dict[str, Tensor], tuple[Tensor, ...]]:
        """One layer in one direction: every value at every step, and the final state."""
        steps: dict[int, dict[str, Tensor]] = {}
        for t in reversed(range(x.shape[1])) if backward else range(x.shape[1]):
            new, gates = self.cell(x[:, t], state, *weights)
            steps[t] = dict(zip(self.states, new)) | gates
            if here is not None:
                now = here[:, t, None]
                new = tuple(torch.where(now, n, s) for n, s in zip(new, state))
                steps[t] = {name: value.where(now, 0) for name, value in steps[t].items()}
            state = new
        if not steps:
            empty = x.new_zeros(len(x), 0, self.hidden_size)
            return dict.fromkeys((*self.states, *self.rows), empty), state
        return {name: torch.stack([steps[t][name] for t in range(len(steps))], 1) for name in steps[0]}, state

    def _between(self, x: Tensor) -> Tensor:
        """Dropout, in the order in which torch draws: time before batch."""
        return dropout(x.transpose(0, 1).contiguous(), self.dropout, self.training).transpose(0, 1)

    def _single(self, x: Tensor, h0: State | None, lengths: Any) -> tuple[Tensor, State]:
        states = None if h0 is None else (h0,) if isinstance(h0, Tensor) else h0
        one = None if states is None else self._torchs(tuple(s.unsqueeze(1) for s in states))
        output, state = self(x[None], one, lengths)
        last = (state,) if isinstance(state, Tensor) else state
        return output[0], self._torchs(tuple(s[:, 0] for s in last))

    def _packed(self, x: PackedSequence, h0: State | None, lengths: Any) -> tuple[PackedSequence, State]:
        if lengths is not None:
            raise InputError("lengths must be left out with a PackedSequence, which has its own.")
        self._check(x.data[None])
        if self.fused:
            return super().forward(x, h0)  # type: ignore[no-any-return]
        padded, ends = pad_packed_sequence(x, batch_first=True)
        output, state = self(padded, h0, ends)
        order = x.sorted_indices if x.sorted_indices is not None else torch.arange(len(ends))
        again = pack_padded_sequence(output[order], ends[order.cpu()], batch_first=True)
        return PackedSequence(again.data, x.batch_sizes, x.sorted_indices, x.unsorted_indices), state

    def _torchs(self, states: tuple[Tensor, ...]) -> Any:
        return states if len(states) > 1 else states[0]

    # ---- what came in

    def _checked(self, x: Tensor, h0: State | None, lengths: Any) -> tuple[tuple[Tensor, ...], Tensor | None]:
        """The initial state as a tuple, zeros where none was given, and the lengths as whole numbers."""
        self._check(x)
        wanted = (self.num_layers * (1 + self.bidirectional), len(x), self.hidden_size)
        if h0 is None:
            states = tuple(x.new_zeros(wanted) for _ in self.states)
        else:
            states = (h0,) if isinstance(h0, Tensor) else tuple(h0)
        if len(states) != len(self.states):
            raise InputError(f"h0 must hold {' and '.join(self.states)}; got {len(states)} tensors.")
        for state in states:
            if tuple(state.shape) != wanted:
                raise InputError(
                    f"h0 must have the shape {wanted}, layers times directions first; "
                    f"got {tuple(state.shape)}."
                )
            if state.dtype != x.dtype and not torch.is_autocast_enabled(x.device.type):
                raise InputError(f"h0 must be {x.dtype}, as x is; got {state.dtype}.")
        return states, None if lengths is None else _ends(lengths, len(x), x.shape[1])

    def _check(self, x: Tensor) -> None:
        if x.ndim != 3 or x.shape[2] != self.input_size:
            raise InputError(
                f"x must have the shape (batch, time, {self.input_size}); got {tuple(x.shape)}."
                + (" Put the features last." if x.ndim == 3 and x.shape[1] == self.input_size else "")
            )
        held = next(self.parameters()).dtype
        mixed = x.is_floating_point() and x.dtype != held and torch.is_autocast_enabled(x.device.type)
        if x.dtype != held and not mixed:
            way = f"Take x.to({held})"
            if x.is_complex():
                way = "Take torch.view_as_real(x).flatten(2): two features for each"
            elif not x.is_floating_point():
                way += "; tokens go through nn.Embedding first"
            raise InputError(f"x must be {held}, as the weights are; got {x.dtype}. {way}.")


def lengths_of(mask: Tensor) -> Tensor:
    """The lengths (B,) that a mask (B, T) says: True where a step is there, none behind the first False."""
    if mask.ndim != 2 or mask.dtype != torch.bool:
        raise InputError(
            f"mask must be bool of shape (batch, time); got {mask.dtype} of {tuple(mask.shape)}."
        )
    holes = (mask[:, 1:] & ~mask[:, :-1]).nonzero()
    if len(holes):
        row, step = holes[0].tolist()
        raise InputError(
            "mask must be True from the first step to a sequence's end; "
            f"row {row} is False at step {step} and True behind it. Move the steps together."
        )
    return mask.sum(1)


def _ends(lengths: Any, n: int, most: int) -> Tensor:
    try:
        ends = torch.as_tensor(lengths)
    except (TypeError, ValueError, RuntimeError) as e:
        raise InputError(f"lengths must be whole numbers; got {str(lengths)[:60]!r}.") from e
    if not ends.numel() and not n:
        return ends.long()
    if ends.is_floating_point() or ends.is_complex() or ends.dtype == torch.bool:
        way = " lengths_of(mask) makes them of a mask." if ends.dtype == torch.bool else ""
        raise InputError(f"lengths must be whole numbers; got {ends.dtype}.{way}")
    if tuple(ends.shape) != (n,):
        raise InputError(
            f"lengths must be one number for each of {n} sequences; got the shape {tuple(ends.shape)}."
        )
    ends = ends.long()
    wrong = ((ends < 0) | (ends > most)).nonzero().flatten()
    if len(wrong):
        i = int(wrong[0])
        raise InputError(
            f"lengths must lie from 0 to {most}, the steps of x; got {int(ends[i])} for sequence {i}."
        )
    return ends
