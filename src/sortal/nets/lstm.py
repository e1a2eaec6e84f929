"""Long short-term memory with a forget gate, as equations.

    i_t = sigmoid(W_ii x_t + b_ii + W_hi h_{t-1} + b_hi)     input
    f_t = sigmoid(W_if x_t + b_if + W_hf h_{t-1} + b_hf)     forget (1 keeps)
    g_t = tanh(W_ig x_t + b_ig + W_hg h_{t-1} + b_hg)        candidate
    o_t = sigmoid(W_io x_t + b_io + W_ho h_{t-1} + b_ho)     output
    c_t = f_t * c_{t-1} + i_t * g_t
    h_t = o_t * tanh(c_t)

Source: Hochreiter and Schmidhuber 1997; the forget gate: Gers, Schmidhuber and Cummins 2000. First weights:
orthogonal W_hh for each gate (`Recurrent.draw`); b_if = 1 (Jozefowicz, Zaremba and Sutskever 2015), so that f
begins at .73 and half of c is left after two steps. For longer memory, `chrono`.
"""

from torch import Tensor, nn, sigmoid, tanh
from torch.nn.functional import linear

from sortal.nets.recurrent import Recurrent

__all__ = ["LSTM"]


class LSTM(Recurrent, nn.LSTM):
    """`torch.nn.LSTM`: same parameters, call and return values as with batch_first=True; state (h, c)."""

    kind = nn.LSTM
    rows = ("i", "f", "g", "o")
    onnx_rows = ("i", "o", "f", "g")
    gates = ("i", "f", "o")
    keeps, lets_in = "f", "i"
    states = ("h", "c")

    @staticmethod
    def cell(
        x: Tensor, state: tuple[Tensor, ...], w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor
    ) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
        h, c = state
        i, f, g, o = (linear(x, w_ih, b_ih) + linear(h, w_hh, b_hh)).chunk(4, 1)
        i, f, g, o = sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)
        c = f * c + i * g
        return (o * tanh(c), c), {"i": i, "f": f, "g": g, "o": o}
