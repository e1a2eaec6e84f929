"""The recurrent network of Elman, as equations.

    h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)

The weights are shared over time: their number does not depend on how long a sequence is. An answer at every
step is a linear layer on `output`, y_t = W_hy h_t. Two biases, as cuDNN has them; only their sum matters.

Source: Elman 1990, Finding structure in time. First weights: orthogonal W_hh (`Recurrent.draw`), so that at
first the state is turned, and neither shrunk nor stretched but by tanh.
"""

from torch import Tensor, nn, tanh
from torch.nn.functional import linear

from sortal.nets.recurrent import Recurrent

__all__ = ["RNN"]


class RNN(Recurrent, nn.RNN):
    """`torch.nn.RNN` with tanh: same parameters, call and return values as with batch_first=True."""

    kind = nn.RNN
    rows = onnx_rows = ("h",)

    @staticmethod
    def cell(
        x: Tensor, state: tuple[Tensor, ...], w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor
    ) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
        (h,) = state
        return (tanh(linear(x, w_ih, b_ih) + linear(h, w_hh, b_hh)),), {}
