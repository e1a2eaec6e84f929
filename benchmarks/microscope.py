"""What it costs to see a recurrent layer's gradient exactly, beside automatic derivatives.

All per-step Jacobians of 100 steps, 128 units, batch 1, the forward pass included; the chain of their
products, rescaled at every step; QR, exponents and singular values beside the LAPACK calls they need; memory
for 1,000 steps of 512 units when only norms are asked for. Peers in the same process, on one thread,
interleaved, CPU time; their answers are compared before anything is timed.

    python benchmarks/microscope.py [--rounds 7]
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from measure import in_child, peak_mb, save, spread
from torch import nn
from torch.func import functional_call, jacrev, vmap

from sortal.diagnose import (
    jacobians,
    log_norms,
    log_norms_by_lag,
    lyapunov_exponents,
    singular_values,
)

T, H = 100, 128
KINDS = {"RNN": nn.RNN, "GRU": nn.GRU, "LSTM": nn.LSTM}
CELLS = {"RNN": nn.RNNCell, "GRU": nn.GRUCell, "LSTM": nn.LSTMCell}


def layer(kind: str, width: int = H) -> nn.Module:
    torch.manual_seed(0)
    return KINDS[kind](width, width)


def stepper(kind: str, rnn: nn.Module) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """One step of the layer as a function of its whole state, as a peer writes it."""
    cell = CELLS[kind](H, H)
    weights = {name.removesuffix("_l0"): value.detach() for name, value in rnn.named_parameters()}

    def step(x: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        if kind != "LSTM":
            return functional_call(cell, weights, (x[None], state[None]))[0]
        h, c = functional_call(cell, weights, (x[None], (state[None, :H], state[None, H:])))
        return torch.cat([h[0], c[0]])

    return step


def states_of(kind: str, step: Callable[..., torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    now = torch.zeros(2 * H if kind == "LSTM" else H)
    states = [now]
    with torch.no_grad():
        for one in x[:-1, 0]:
            now = step(one, now)
            states.append(now)
    return torch.stack(states)


def by_vmap(kind: str, step: Callable[..., torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    return vmap(jacrev(step, argnums=1))(x[:, 0], states_of(kind, step, x))


def by_loop(kind: str, step: Callable[..., torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    each = jacrev(step, argnums=1)
    return torch.stack([each(one, state) for one, state in zip(x[:, 0], states_of(kind, step, x))])


def products_by_autograd(rnn: nn.Module, x: torch.Tensor) -> np.ndarray:
    """log |dh_T/dh_t| of all t: H backward passes at once through a graph that keeps every state."""
    h, states = torch.zeros(1, 1, H, requires_grad=True), []
    states.append(h)
    for one in x:
        _, h = rnn(one[None], h)
        states.append(h)
    rows = torch.autograd.grad(h[0, 0], states, torch.eye(H), is_grads_batched=True)
    return np.log([float(one.norm()) for one in rows[::-1]])


def timed(tasks: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """CPU milliseconds: median, least and most of `rounds`, each task in turn."""
    found: dict[str, list[float]] = {name: [] for name in tasks}
    for one in range(rounds + 2):
        for name, task in tasks.items():
            n = 5 if name.startswith("ours") else 1
            begun = time.process_time()
            for _ in range(n):
                task()
            if one > 1:  # two to warm up
                found[name].append(1e3 * (time.process_time() - begun) / n)
    return {name: spread(values) for name, values in found.items()}


def steps(kind: str, rounds: int) -> dict[str, Any]:
    torch.set_num_threads(1)
    rnn, x = layer(kind), torch.randn(T, 1, H, generator=torch.Generator().manual_seed(1))
    step = stepper(kind, rnn)
    apart = float(np.abs(jacobians(rnn, x) - by_vmap(kind, step, x).numpy()).max())
    assert apart < 1e-5, apart
    tasks = {
        "ours_ms": lambda: jacobians(rnn, x),
        "vmap_jacrev_ms": lambda: by_vmap(kind, step, x),
        "loop_jacrev_ms": lambda: by_loop(kind, step, x),
        "forward_of_torch_ms": lambda: forward(rnn, x),
    }
    return {"what": f"Jacobians, {kind}", "apart": apart, "wanted_ms": 3} | timed(tasks, rounds)


@torch.inference_mode()
def forward(rnn: nn.Module, x: torch.Tensor) -> object:
    return rnn(x)


def chain(kind: str, rounds: int) -> dict[str, Any]:
    torch.set_num_threads(1)
    rnn, x = layer(kind), torch.randn(T, 1, H, generator=torch.Generator().manual_seed(1))
    grids = jacobians(rnn, x)
    row: dict[str, Any] = {"what": f"chain of products, {kind}", "wanted_ms": 10}
    tasks: dict[str, Callable[[], object]] = {"ours_ms": lambda: log_norms(grids)}
    if kind != "LSTM":
        apart = np.abs(log_norms(grids) - products_by_autograd(rnn, x))
        row["apart"] = float(apart[:30].max())  # later ones have left float32's range in autograd
        assert row["apart"] < 1e-3, apart
        tasks["batched_autograd_ms"] = lambda: products_by_autograd(rnn, x)
    return row | timed(tasks, rounds)


def factors(rounds: int) -> dict[str, Any]:
    """QR and singular values beside as many bare LAPACK and BLAS calls of the same sizes."""
    torch.set_num_threads(1)
    rnn, x = layer("GRU"), torch.randn(T, 1, H, generator=torch.Generator().manual_seed(1))
    grids = jacobians(rnn, x).astype(np.float64)
    lags = (1, 2, 5, 10, 20, 50, 100)
    found = singular_values(grids, (1, 2, 5))
    for at, lag in enumerate((1, 2, 5)):
        by_hand = np.linalg.svd(np.linalg.multi_dot(grids[: -lag - 1 : -1]) if lag > 1 else grids[-1])[1]
        assert np.isclose(found.log_largest[at], np.log(by_hand[0]))

    def qr_calls() -> None:
        turned = np.eye(H)
        for one in grids:
            turned, _ = np.linalg.qr(one @ turned)

    def value_calls() -> None:
        turned, graded = np.eye(H), np.eye(H)
        for one in grids[::-1]:
            turned, r = np.linalg.qr(one.T @ turned)
            graded = r @ graded
            graded /= np.linalg.norm(graded)
        for _ in lags:
            np.linalg.svd(turned, compute_uv=False)
            np.linalg.norm(np.linalg.inv(turned), 2)

    tasks = {
        "exponents_ms": lambda: lyapunov_exponents(grids),
        "their_lapack_ms": qr_calls,
        "singular_values_ms": lambda: singular_values(grids, lags),
        "their_lapack_too_ms": value_calls,
    }
    row = timed(tasks, rounds)
    ratios = {
        "exponents_ratio": round(row["exponents_ms"][0] / row["their_lapack_ms"][0], 2),
        "singular_values_ratio": round(row["singular_values_ms"][0] / row["their_lapack_too_ms"][0], 2),
    }
    return {"what": "QR and singular values, GRU", "wanted_ratio": 1.2} | ratios | row


def memory(kind: str) -> dict[str, Any]:
    torch.set_num_threads(1)
    rnn = layer(kind, 512)
    log_norms_by_lag(rnn, torch.randn(2, 1, 512))  # what is compiled and loaded is not its own
    before = peak_mb()
    begun = time.process_time()
    log_norms_by_lag(rnn, torch.randn(1000, 1, 512))
    return {
        "what": f"norms of 1,000 x 512, {kind}",
        "more_mb": round(peak_mb() - before, 1),
        "wanted_mb": 200,
        "cpu_s": round(time.process_time() - begun, 1),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    rows = [in_child(steps, kind, rounds) for kind in KINDS]
    rows += [in_child(chain, kind, rounds) for kind in KINDS]
    rows += [in_child(factors, rounds)]
    rows += [in_child(memory, kind) for kind in ("GRU", "LSTM")]
    save("microscope", __doc__.strip(), rows, key="what", packages=("torch", "numba"))
