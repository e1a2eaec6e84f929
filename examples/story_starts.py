"""What the first weights, the activation, a norm and shortcuts each do to the gradient. Some 5 seconds.

    python examples/story_starts.py OUT

Networks of 20 layers of 64 units at their first weights, on one batch of scikit-learn's digits: the length of
the gradient at the first layer over that at the last. 1 is what learning wants; under 1/1000 nothing arrives.
"""

import sys
from pathlib import Path
from statistics import median

import torch
from torch import nn

from sortal.diagnose import layer_profile, study_data
from sortal.tasks import Classify
from sortal.train.batches import ImageBatches

DEPTH, WIDTH, SEEDS = 20, 64, (0, 1, 2)
STARTS = {  # the standard deviation of a weight that sees `n` units
    "normal, .01": lambda n: 0.01,
    "Glorot": lambda n: n**-0.5,
    "He": lambda n: (2 / n) ** 0.5,
}


class Block(nn.Module):
    def __init__(self, curve: type[nn.Module], norm: bool, shortcut: bool) -> None:
        super().__init__()
        self.linear, self.curve, self.shortcut = nn.Linear(WIDTH, WIDTH), curve(), shortcut
        self.norm = nn.BatchNorm1d(WIDTH) if norm else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.curve(self.norm(self.linear(x)))
        return x + out if self.shortcut else out


def network(start: str, curve: type[nn.Module], norm: bool, shortcut: bool, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    blocks = [Block(curve, norm, shortcut) for _ in range(DEPTH)]
    net = nn.Sequential(nn.Flatten(), *blocks, nn.Linear(WIDTH, 10))
    for module in net.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=STARTS[start](module.in_features))
            nn.init.zeros_(module.bias)
    return net


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    images = study_data(None)
    batch = next(ImageBatches(images.learn, 128, images.normalize).epoch(0))
    batch = {**batch, "inputs": nn.functional.adaptive_avg_pool2d(batch["inputs"], 8)}

    def decay(*asked: object) -> float:
        nets = [network(*asked, seed) for seed in SEEDS]
        return median(
            layer_profile(net, lambda net=net: Classify().loss(net, batch).loss).decay for net in nets
        )

    lines = ["| start | activation | plain | normalised | shortcuts | both |", "|" + "---|" * 6]
    for start in STARTS:
        for curve in (nn.ReLU, nn.Tanh, nn.Sigmoid):
            ways = ((False, False), (True, False), (False, True), (True, True))
            found = " | ".join(f"{decay(start, curve, *way):.2g}" for way in ways)
            lines.append(f"| {start} | {curve.__name__} | {found} |")
    (out / "starts.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "story-starts"))
