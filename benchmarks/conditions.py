"""Networks whose condition is known by construction, and what the verdict says of each: a confusion table.

Each was made to be what it is by its weights and inputs alone, none by how it was judged: n layers that each
multiply a gradient by g multiply it by g^n. Several seeds of each.

    python benchmarks/conditions.py
"""

from collections import Counter
from collections.abc import Callable, Iterator

import torch
from measure import save
from torch import Tensor, nn

from sortal import nets
from sortal.diagnose import examine
from sortal.tasks import Answer, Classify, Task

CONDITIONS = ("healthy", "vanishing", "exploding", "dead", "saturated")
SEEDS = (0, 1)


class LastStep(Task):
    """The mean square of a linear reading of the last state."""

    def loss(self, net: nn.Module, batch: dict[str, Tensor]) -> Answer:
        out = net[1](net[0](batch["inputs"])[0][-1])  # type: ignore[operator, index]
        return Answer((out[:, 0] - batch["wanted"]).square().mean(), len(out), torch.zeros(()))


def line(
    depth: int, width: int, curve: type[nn.Module], gain: float, bias: dict[int, float] | None = None
) -> nn.Module:
    """Square layers whose weights multiply a length by `gain` on the mean; `bias` by layer."""
    layers: list[nn.Module] = []
    for i in range(depth):
        linear = nn.Linear(width, width)
        nn.init.normal_(linear.weight, std=gain / width**0.5)
        nn.init.constant_(linear.bias, (bias or {}).get(i, 0.0))
        layers += [linear, curve()]
    return nn.Sequential(*layers, nn.Linear(width, 10))


def images(net: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Flatten(), net)


HE = 2**0.5  # keeps a length through ReLU: He et al. 2015, arXiv:1502.01852


def deep() -> Iterator[tuple[str, str, Callable[[], nn.Module]]]:
    """Condition, name, network: inputs are (64,) standard normal."""
    for depth in (4, 8, 16):
        yield "healthy", f"relu {depth}, He's start", lambda depth=depth: line(depth, 64, nn.ReLU, HE)
        yield "healthy", f"tanh {depth}, slope 1", lambda depth=depth: line(depth, 64, nn.Tanh, 1.1)
        yield "vanishing", f"sigmoid {2 * depth}", lambda depth=depth: line(2 * depth, 64, nn.Sigmoid, 1.0)
        yield "vanishing", f"relu {depth + 4}, gain .3", lambda depth=depth: line(depth + 4, 64, nn.ReLU, 0.3)
        yield "exploding", f"relu {depth + 4}, gain 6", lambda depth=depth: line(depth + 4, 64, nn.ReLU, 6.0)
        yield (
            "exploding",
            f"linear {depth + 4}, gain 4",
            lambda depth=depth: line(depth + 4, 64, nn.Identity, 4.0),
        )
        yield (
            "dead",
            f"relu {depth}, one bias -100",
            lambda depth=depth: line(depth, 64, nn.ReLU, HE, {depth // 2: -100.0}),
        )
        yield "saturated", f"tanh {depth}, gain 30", lambda depth=depth: line(depth, 64, nn.Tanh, 30.0)
    yield "saturated", "sigmoid 4, gain 60", lambda: line(4, 64, nn.Sigmoid, 60.0)
    yield "vanishing", "tanh 12, gain .4", lambda: line(12, 64, nn.Tanh, 0.4)
    yield "healthy", "linear 20, orthogonal", orthogonal


def orthogonal() -> nn.Module:
    net = line(20, 64, nn.Identity, 1.0)
    for module in net[:-1]:  # type: ignore[index]
        if isinstance(module, nn.Linear):
            nn.init.orthogonal_(module.weight)
    return net


def pictures() -> Iterator[tuple[str, str, Callable[[], nn.Module]]]:
    """Inputs are (3, 32, 32)."""
    yield "healthy", "resnet20", nets.resnet20
    yield "healthy", "resnet56", nets.resnet56
    yield "healthy", "plain20", nets.plain20
    yield "healthy", "lenet5 in colour", lambda: nets.builder("lenet5")(10, 3)
    yield "dead", "resnet20, one norm at -10", dead_resnet
    yield "vanishing", "convolutions 12, gain .3", lambda: convolutions(0.3)
    yield "exploding", "convolutions 12, gain 5", lambda: convolutions(5.0)
    yield "healthy", "convolutions 12, He's start", lambda: convolutions(HE)


def dead_resnet() -> nn.Module:
    net = nets.resnet20()
    nn.init.constant_(net.layer2[1].bn1.bias, -10.0)  # type: ignore[union-attr, arg-type]
    return net


def convolutions(gain: float) -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(3, 32, 3, padding=1)]
    for _ in range(12):
        layers += [nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1)]
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=gain / (9 * layer.in_channels) ** 0.5)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))


def sequences() -> Iterator[tuple[str, str, Callable[[], nn.Module]]]:
    """60 steps of (4,), read by the last state."""
    yield "healthy", "tanh, orthogonal, small inputs", lambda: recurrent("RNN", 1.0, inputs=0.05)
    yield (
        "healthy",
        "relu, identity",
        lambda: recurrent("RNN", 1.0, inputs=0.01, nonlinearity="relu", bias=0.1),
    )
    yield "healthy", "GRU that keeps", lambda: recurrent("GRU", 1.0, keep=4.0)
    yield "healthy", "LSTM that keeps", lambda: recurrent("LSTM", 1.0, keep=4.0)
    yield "vanishing", "tanh, radius .6", lambda: recurrent("RNN", 0.6)
    yield "vanishing", "tanh, radius .8, two layers", lambda: recurrent("RNN", 0.8, num_layers=2)
    yield "vanishing", "GRU that forgets", lambda: recurrent("GRU", 0.5, keep=-3.0)
    yield "vanishing", "LSTM that forgets", lambda: recurrent("LSTM", 0.5, keep=-3.0)
    yield "exploding", "tanh, radius 1.3, no inputs", lambda: recurrent("RNN", 1.3, inputs=1e-9)
    yield "exploding", "relu, 1.3 identity", lambda: recurrent("RNN", 1.3, inputs=0.01, nonlinearity="relu")
    yield "saturated", "tanh, inputs x 200", lambda: recurrent("RNN", 1.0, inputs=200.0)
    yield "saturated", "GRU, inputs x 200", lambda: recurrent("GRU", 1.0, inputs=200.0)
    yield "dead", "relu, bias -100", lambda: recurrent("RNN", 1.0, nonlinearity="relu", bias=-100.0)


def recurrent(
    kind: str, radius: float, *, inputs: float = 0.3, keep: float = 0.0, bias: float = 0.0, **options: object
) -> nn.Module:
    """All moduli of W_hh are `radius`; `keep` is the bias of the gate that keeps the state."""
    rnn = getattr(nn, kind)(4, 32, **options)
    n_gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[kind]
    for name, weight in rnn.named_parameters():
        with torch.no_grad():
            if name.startswith("bias"):
                weight.fill_(bias if name.startswith("bias_ih") else 0.0)
                if n_gates > 1 and name.startswith("bias_ih"):
                    weight[32:64] = keep  # GRU's z, LSTM's f
            elif name.startswith("weight_hh"):
                for rows in weight.split(32):
                    if options.get("nonlinearity") == "relu":
                        rows.copy_(torch.eye(32))
                    else:
                        nn.init.orthogonal_(rows)
                weight.mul_(radius)
            else:
                weight.normal_(std=inputs * 0.5)
    return nn.ModuleList([rnn, nn.Linear(32, 1)])


def judged() -> list[dict[str, object]]:
    """Every network of the suite, with what the verdict says."""
    families = (
        (deep(), Classify(), (64,)),
        (pictures(), Classify(), (3, 32, 32)),
        (sequences(), LastStep(), (4,)),
    )
    rows = []
    for family, task, shape in families:
        for known, name, make in family:
            for seed in SEEDS:
                torch.manual_seed(seed)
                net = make()
                net.train()
                batches = [batch(shape, isinstance(task, LastStep)) for _ in range(3)]
                found = examine(net, task, batches)
                said = found.worst.condition
                rows.append(
                    {
                        "network": f"{name} ({seed})",
                        "known": known,
                        "said": said,
                        "words": found.worst.sign.words,
                    }
                )
    return rows


def batch(shape: tuple[int, ...], lasting: bool) -> dict[str, Tensor]:
    if lasting:
        return {"inputs": torch.randn(60, 8, *shape), "wanted": torch.randn(8)}
    return {"inputs": torch.randn(32, *shape), "labels": torch.randint(0, 10, (32,))}


def table(rows: list[dict[str, object]]) -> str:
    pairs = Counter((row["known"], row["said"]) for row in rows)
    lines = [
        "| by construction | " + " | ".join(CONDITIONS) + " | right |",
        "|" + "---|" * (len(CONDITIONS) + 2),
    ]
    for known in CONDITIONS:
        counts = [pairs[known, said] for said in CONDITIONS]
        n = sum(row["known"] == known for row in rows)
        lines.append(f"| {known} | " + " | ".join(map(str, counts)) + f" | {pairs[known, known]} of {n} |")
    right = sum(row["known"] == row["said"] for row in rows)
    lines += ["", f"{right} of {len(rows)} right ({right / len(rows):.1%})."]
    wrong = [row for row in rows if row["known"] != row["said"]]
    lines += ["- {network}: {known}, said {said}: {words}".format(**row) for row in wrong]
    return "\n".join(lines)


if __name__ == "__main__":
    torch.set_num_threads(1)
    found = judged()
    print(table(found))
    save(
        "conditions", __doc__.split("\n    python")[0], found, key="network", page=table, packages=("torch",)
    )
