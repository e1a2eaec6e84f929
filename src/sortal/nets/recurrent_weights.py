"""The weights of RNN, GRU and LSTM: torch's names, first values, and values that are known beforehand."""

from collections.abc import Sequence
from typing import ClassVar, TypeVar

import torch
from torch import Generator, Tensor, nn

from sortal.errors import InputError
from sortal.nets.network import check_count, seeded

__all__ = ["Weights"]

W = TypeVar("W", bound="Weights")


class Weights(nn.RNNBase):
    """torch's module of the same name, without torch's own draw. Rows come in blocks of hidden_size."""

    kind: ClassVar[type[nn.RNNBase]]  # torch's class
    rows: ClassVar[tuple[str, ...]]  # what the blocks are for, in torch's order
    gates: ClassVar[tuple[str, ...]] = ()  # those of them that are sigmoids
    keeps: ClassVar[str | None] = None  # the gate that keeps the state
    lets_in: ClassVar[str | None] = None  # the gate that lets in what is new, where it is one of its own
    onnx_rows: ClassVar[tuple[str, ...]]  # the blocks in ONNX's order

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bidirectional: bool = False,
        dropout: float = 0.0,
        seed: int | None = None,
    ) -> None:
        check_count("input_size", input_size)
        check_count("hidden_size", hidden_size)
        check_count("num_layers", num_layers)
        if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout < 1:
            raise InputError(f"dropout must be a share of 0 or more and below 1; got {dropout!r}.")
        if dropout and num_layers == 1:
            raise InputError(
                f"dropout acts between layers, of which there is one; got dropout={dropout}. "
                "Take num_layers=2, or nn.Dropout before and behind."
            )
        source, device = seeded(seed), torch.get_default_device()
        with torch.device("meta"):  # torch would draw every weight once, by its own rule, for nothing
            super().__init__(
                input_size, hidden_size, num_layers,  # type: ignore[arg-type]  # next is nn.GRU, not RNNBase
                batch_first=True, dropout=dropout, bidirectional=bidirectional,
            )  # fmt: skip
        if device.type != "meta":
            self.to_empty(device="cpu")
            self.draw(source)
            self.to(device)

    def row(self, tensor: Tensor, name: str) -> Tensor:
        """The block of a weight or bias that belongs to one of `rows`."""
        return tensor.narrow(0, self.rows.index(name) * self.hidden_size, self.hidden_size)

    @torch.no_grad()
    def draw(self, source: Generator | None) -> None:
        """First weights: from the input Glorot's, from the state orthogonal, each block of rows for itself.

        An orthogonal W_hh by itself neither shrinks nor stretches the state, nor the gradient on its way
        back. Biases are zero, but for the 1 of the gate that keeps the state.
        *Source:* Glorot and Bengio 2010 (uniform, variance 2 / (fan-in + fan-out)); Saxe, McClelland and
        Ganguli 2014, arXiv:1312.6120.
        """
        for w_ih, w_hh, b_ih, b_hh in self.all_weights:
            for name in self.rows:
                rows = self.row(w_ih, name)
                rows.uniform_(-1, 1, generator=source).mul_((6 / sum(rows.shape)) ** 0.5)
                self.row(w_hh, name).copy_(_orthogonal(self.hidden_size, source))
            b_ih.zero_()
            b_hh.zero_()
            if self.keeps:
                self.row(b_ih, self.keeps).fill_(1)

    @torch.no_grad()
    def chrono(self: W, longest: int | float, shortest: int | float = 2, *, seed: int | None = None) -> W:
        """Gate biases, in place, for memories of `shortest` to `longest` steps, drawn evenly between them.

        A gate that keeps (T - 1) / T of the state forgets it in about T steps; its bias is log(T - 1). A gate
        that lets in what is new gets the opposite. Weights stay as they are.
        *Source:* Tallec and Ollivier 2018, arXiv:1804.11188, section 2.
        """
        if not self.keeps:
            raise InputError("chrono sets the biases of gates; an RNN has none. Take a GRU or an LSTM.")
        if not 1 < shortest <= longest < float("inf"):
            raise InputError(
                "chrono needs 1 < shortest <= longest, in steps; "
                f"got shortest={shortest!r}, longest={longest!r}."
            )
        source = seeded(seed)
        for _, _, b_ih, b_hh in self.all_weights:
            steps = torch.empty(self.hidden_size, device="cpu").uniform_(shortest, longest, generator=source)
            for name, bias in ((self.keeps, (steps - 1).log()), (self.lets_in, -(steps - 1).log())):
                if name:
                    self.row(b_ih, name).copy_(bias)
                    self.row(b_hh, name).zero_()
        return self

    @torch.no_grad()
    def clamp(self: W, **gates: int | float) -> W:
        """Hold gates still, in place: `net.clamp(z=1)`. 0 and 1 are exact.

        Their weights become zero and their bias what gives the value, so it holds on every path and in an
        exported graph, until training moves them.
        """
        for name, value in gates.items():
            if name not in self.gates:
                there = f"it has {', '.join(self.gates)}" if self.gates else "it has none"
                raise InputError(f"clamp takes gates of a {self.kind.__name__}, {there}; got {name!r}.")
            if not 0 <= value <= 1:
                raise InputError(f"a gate must lie from 0 to 1; got {name}={value!r}.")
            # The sigmoid of 1e4 is 1 and that of -1e4 is 0, to the bit, in every precision; an infinite bias
            # would make NaN of a gradient of zero.
            bias = torch.tensor(float(value), dtype=torch.float64).logit().clamp(-1e4, 1e4)
            for w_ih, w_hh, b_ih, b_hh in self.all_weights:
                for tensor in (w_ih, w_hh, b_hh):
                    self.row(tensor, name).zero_()
                self.row(b_ih, name).fill_(bias)
        return self

    @classmethod
    def from_torch(cls: type[W], module: nn.RNNBase) -> W:
        """The same weights in ours, on their device. Ours is batch first, whatever the module is.

        A module without biases gets zero ones, which training may move.
        """
        if not isinstance(module, cls.kind):
            raise InputError(f"module must be a torch.nn.{cls.kind.__name__}; got {type(module).__name__}.")
        if module.mode == "RNN_RELU" or module.proj_size:
            what = f"proj_size={module.proj_size}" if module.proj_size else "nonlinearity='relu'"
            raise InputError(f"module must be a plain {cls.kind.__name__}; {what} has no twin here.")
        with torch.device("meta"):
            net = cls(
                module.input_size, module.hidden_size, module.num_layers, bidirectional=module.bidirectional,
                dropout=module.dropout if module.num_layers > 1 else 0.0,
            )  # fmt: skip
        _placed_as(net, module)
        for name, parameter in net.named_parameters():
            if not module.bias and name.startswith("bias"):
                nn.init.zeros_(parameter)
        net.load_state_dict(module.state_dict(), strict=module.bias)
        return net

    def to_torch(self) -> nn.RNNBase:
        """torch's own module with these weights, batch first."""
        with torch.device("meta"):
            module = self.kind(
                self.input_size, self.hidden_size, self.num_layers,  # type: ignore[arg-type]  # as above
                batch_first=True, dropout=self.dropout, bidirectional=self.bidirectional,
            )  # fmt: skip
        _placed_as(module, self)
        module.load_state_dict(self.state_dict())
        return module

    @classmethod
    def from_onnx(cls: type[W], layers: Sequence[tuple[Tensor, Tensor, Tensor | None]]) -> W:
        """From W, R and B of ONNX's operator of the same name, one triple a layer; no B is a B of zeros.

        A GRU's must come from linear_before_reset=1: the other form is another network.
        """
        if not layers:
            raise InputError("layers must hold at least one layer's W, R and B; got none.")
        first, other = layers[0][:2]
        if first.ndim != 3 or other.ndim != 3 or len(first) > 2:
            raise InputError(
                "W and R must have the shape (directions, rows, columns), of one or two directions; "
                f"got {tuple(first.shape)} and {tuple(other.shape)}."
            )
        (directions, _, features), hidden = first.shape, other.shape[2]
        with torch.device("meta"):
            net = cls(features, hidden, len(layers), bidirectional=directions == 2)
        net.to(layers[0][0].dtype).to_empty(device="cpu")
        for i, (triple, wanted) in enumerate(zip(layers, net.to_onnx())):
            given = [torch.zeros_like(want) if t is None else t for t, want in zip(triple, wanted)]
            for name, tensor, want in zip("WRB", given, wanted):
                if tensor.shape != want.shape:
                    raise InputError(
                        f"{name} of layer {i} must have the shape {tuple(want.shape)} in a "
                        f"{cls.kind.__name__} of {hidden} units; got {tuple(tensor.shape)}."
                    )
            for way in range(directions):
                split = (given[0][way], given[1][way], *given[2][way].chunk(2))
                for parameter, tensor in zip(net.all_weights[i * directions + way], split):
                    parameter.data.copy_(_reordered(tensor, cls.onnx_rows, cls.rows))
        return net

    @torch.no_grad()
    def to_onnx(self) -> list[tuple[Tensor, Tensor, Tensor]]:
        """W, R and B of ONNX's operator of the same name, a triple a layer (GRU: linear_before_reset=1)."""
        ways = [[_reordered(p, self.rows, self.onnx_rows) for p in four] for four in self.all_weights]
        both = 1 + self.bidirectional
        return [
            (
                torch.stack([w_ih for w_ih, _, _, _ in layer]),
                torch.stack([w_hh for _, w_hh, _, _ in layer]),
                torch.stack([torch.cat([b_ih, b_hh]) for _, _, b_ih, b_hh in layer]),
            )
            for layer in (ways[i : i + both] for i in range(0, len(ways), both))
        ]


def _reordered(tensor: Tensor, before: Sequence[str], after: Sequence[str]) -> Tensor:
    blocks = dict(zip(before, tensor.chunk(len(before))))
    return torch.cat([blocks[name] for name in after])


def _placed_as(net: nn.Module, held: nn.Module) -> None:
    """Memory on `held`'s device in its precision, and its mode."""
    one = next(held.parameters())
    net.to(one.dtype).to_empty(device=one.device).train(held.training)


def _orthogonal(n: int, source: Generator | None) -> Tensor:
    """Evenly over all n x n rotations and reflections. In float64, so that float32 is the same everywhere.

    *Source:* Mezzadri 2007, How to generate random matrices from the classical compact groups.
    """
    q, r = torch.linalg.qr(torch.randn(n, n, dtype=torch.float64, device="cpu", generator=source))
    turned: Tensor = q * r.diagonal().sign()
    return turned
