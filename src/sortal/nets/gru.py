"""The gated recurrent unit, as equations, in the "reset after" form of cuDNN, torch and ONNX.

    r_t = sigmoid(W_ir x_t + b_ir + W_hr h_{t-1} + b_hr)           reset: what of the past the candidate sees
    z_t = sigmoid(W_iz x_t + b_iz + W_hz h_{t-1} + b_hz)           update: what of the past stays
    n_t = tanh(W_in x_t + b_in + r_t * (W_hn h_{t-1} + b_hn))      candidate
    h_t = z_t * h_{t-1} + (1 - z_t) * n_t

The extremes: z = 1 keeps the state as it is; r = 0 lets the past in through z alone; z = 0 is an RNN whose
past goes through the reset gate. `clamp` sets them and `trace` shows them.

Source: Cho et al. 2014, arXiv:1406.1078. Its first version resets behind the product with W_hn, as here; the
later ones, r_t * h_{t-1} before it, which is another network: such weights do not load. Chung et al. 2014,
arXiv:1412.3555, write z for our 1 - z. b_hn = 0 gives the form of most textbooks.
First weights: orthogonal W_hh for each gate (`Recurrent.draw`); b_iz = 1, so that z begins at .73 and half of
the state is left after two steps. For longer memory, `chrono`.
"""

from torch import Tensor, nn, sigmoid, tanh
from torch.nn.functional import linear

from sortal.nets.recurrent import Recurrent

__all__ = ["GRU"]


class GRU(Recurrent, nn.GRU):
    """`torch.nn.GRU`: same parameters, call and return values as with batch_first=True."""

    kind = nn.GRU
    rows = ("r", "z", "n")
    onnx_rows = ("z", "r", "n")
    gates = ("r", "z")
    keeps = "z"

    @staticmethod
    def cell(
        x: Tensor, state: tuple[Tensor, ...], w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor
    ) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
        (h,) = state
        x_r, x_z, x_n = linear(x, w_ih, b_ih).chunk(3, 1)
        h_r, h_z, h_n = linear(h, w_hh, b_hh).chunk(3, 1)
        r = sigmoid(x_r + h_r)
        z = sigmoid(x_z + h_z)
        n = tanh(x_n + r * h_n)
        return (z * h + (1 - z) * n,), {"r": r, "z": z, "n": n}
