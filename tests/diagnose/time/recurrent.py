"""Recurrent layers of odd shapes in float64, and what autograd says of them step by step."""

import torch
from torch import nn

# kind, options, (T, B, D, H): one of each, one step, more layers than steps, both directions.
CASES = [
    ("RNN", {}, (5, 2, 3, 4)),
    ("RNN", {"nonlinearity": "relu", "num_layers": 2}, (7, 1, 1, 5)),
    ("RNN", {"bidirectional": True, "num_layers": 3, "bias": False}, (2, 3, 2, 1)),
    ("GRU", {}, (1, 1, 1, 1)),
    ("GRU", {"num_layers": 2, "bidirectional": True}, (6, 2, 3, 5)),
    ("GRU", {"bias": False, "batch_first": True, "num_layers": 3}, (4, 3, 2, 3)),
    ("LSTM", {}, (9, 1, 2, 3)),
    ("LSTM", {"num_layers": 2, "bidirectional": True, "batch_first": True}, (3, 2, 4, 3)),
    ("LSTM", {"bias": False}, (1, 2, 1, 1)),
    ("LSTM", {"num_layers": 2, "bidirectional": True}, (1, 1, 2, 3)),
    ("LSTM", {"proj_size": 2}, (5, 1, 3, 4)),
    ("LSTM", {"proj_size": 1, "num_layers": 2, "bidirectional": True, "batch_first": True}, (4, 3, 2, 3)),
]


def made(kind, options, shape, seed=0):
    """The layer, a sequence and a first state, all drawn large enough that gates move."""
    n_steps, batch, width, hidden = shape
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        rnn = getattr(nn, kind)(width, hidden, **options).double()
    with torch.no_grad():
        for parameter in rnn.parameters():
            parameter.mul_(1.5)
    x = torch.randn(n_steps, batch, width, generator=generator, dtype=torch.float64)
    n = rnn.num_layers * (1 + rnn.bidirectional)
    sizes = (length_of_h(rnn), hidden)[: 1 + (kind == "LSTM")]
    parts = tuple(torch.randn(n, batch, size, generator=generator, dtype=torch.float64) for size in sizes)
    given = x.transpose(0, 1) if rnn.batch_first else x
    return rnn, given, parts if kind == "LSTM" else parts[0]


def length_of_h(rnn):
    return getattr(rnn, "proj_size", 0) or rnn.hidden_size


def one_cell(rnn, layer, way):
    """A single-layer, one-way module with the weights of one cell of `rnn`."""
    suffix = f"_l{layer}" + ("_reverse" if way else "")
    weights = {
        name.removesuffix(suffix): value for name, value in rnn.named_parameters() if name.endswith(suffix)
    }
    options = {"nonlinearity": rnn.nonlinearity} if isinstance(rnn, nn.RNN) else {}
    options |= {"proj_size": rnn.proj_size} if isinstance(rnn, nn.LSTM) else {}
    cell = type(rnn)(weights["weight_ih"].shape[1], rnn.hidden_size, bias=rnn.bias, **options).double()
    with torch.no_grad():
        for name, value in weights.items():
            getattr(cell, f"{name}_l0").copy_(value)
    return cell


def by_autograd(rnn, inputs, state):
    """(layers, directions, B, T, S, S): each cell stepped by hand, torch.autograd.functional.jacobian."""
    x = inputs.transpose(0, 1) if rnn.batch_first else inputs
    parts = state if isinstance(state, tuple) else (state,)
    n_ways, found = 1 + rnn.bidirectional, []
    for layer in range(rnn.num_layers):
        of_layer, outputs = [], []
        for way in range(n_ways):
            cell, at = one_cell(rnn, layer, way), layer * n_ways + way
            steps = range(len(x))[:: -1 if way else 1]
            of_way, out = [None] * len(x), [None] * len(x)
            now = torch.cat([part[at] for part in parts], -1)
            for t in steps:
                of_way[t], now = _step(cell, x[t], now)
                out[t] = now[:, : length_of_h(rnn)]
            of_layer.append(torch.stack(of_way, 1))
            outputs.append(torch.stack(out))
        found.append(torch.stack(of_layer))
        x = torch.cat(outputs, -1)
    return torch.stack(found)


def _step(cell, x, now):
    h = length_of_h(cell)

    def after(flat, item):
        state = (
            (flat[None, None, :h], flat[None, None, h:]) if isinstance(cell, nn.LSTM) else flat[None, None]
        )
        _, end = cell(x[None, item : item + 1].contiguous(), state)
        return torch.cat([part[0, 0] for part in end]) if isinstance(end, tuple) else end[0, 0]

    grids = [
        torch.autograd.functional.jacobian(lambda flat, item=item: after(flat, item), now[item].detach())
        for item in range(len(now))
    ]
    return torch.stack(grids), torch.stack([after(row, item) for item, row in enumerate(now)]).detach()
