"""Story 3: the gradient in a plain network of 56 layers and in a residual one. Some 10 seconds.

    python examples/story_depth.py OUT

One batch of scikit-learn's digits and first weights: the length of the gradient by layer, the same with the
shortcuts cut, and what neighbouring blocks have in common. What that does to learning is shown by
`sortal study degradation`.
"""

import sys
from pathlib import Path
from statistics import mean

import torch

from sortal import nets
from sortal.diagnose import coherence, layer_profile, study_data
from sortal.diagnose.gradient_plots import depth_profile
from sortal.tasks import Classify
from sortal.train.batches import ImageBatches


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    images = study_data(None)
    batch = next(ImageBatches(images.learn, 64, images.normalize).epoch(0))
    seen = {}
    for name in ("plain56", "resnet56"):
        net = nets.builder(name)(10, 1, seed=0).train()

        def loss(net=net):
            return Classify().loss(net, batch).loss

        seen[name] = layer_profile(net, loss)
        shared = mean(coherence(net, loss).values())
        print(f"{name}: the first layer's gradient is {seen[name].decay:.3g} times the last's;")
        print(f"  neighbouring blocks hear the same to {shared:.2f} (mean cosine)")
        cut = layer_profile(net, loss, severed=True)
        if cut.n_shortcuts:
            seen[f"{name}, {cut.n_shortcuts} shortcuts cut"] = cut
            print(f"  with its {cut.n_shortcuts} shortcuts cut: {cut.decay:.3g} times")
    drawn = depth_profile(seen)
    (out / "depth.png").write_bytes(drawn.png)
    (out / "depth.svg").write_bytes(drawn.svg)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "story-depth"))
