"""Vectors of images from a network: our encoder against eager torch and a bare onnxruntime loop.

Every contender gets the same uint8 images and gives the vectors before the head; normalising is part of
it. One thread each, CPU seconds, rounds interleaved; answers are compared first. Weights are random, which
speed does not know. Goals: 1.8 times eager torch on ResNet-18, the rate of the bare loop on the same graph
(.97 of it or more: the spread of the rounds).

    python benchmarks/networks.py [ROUNDS]
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measure import Clock, in_child, save, spread

# network, images in a batch, images a round, times eager torch that are asked for
CASES = (("resnet18", 32, 32, 1.8), ("resnet20", 256, 512, None))
BARE = 0.97


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rounds", nargs="?", type=int, default=5)
    rounds = parser.parse_args().rounds
    os.environ["OMP_NUM_THREADS"] = "1"  # for onnxruntime and torch alike, in the child
    rows = []
    for name, batch, n, wanted in CASES:
        with tempfile.TemporaryDirectory() as folder:
            found = in_child(measure, name, batch, n, rounds, folder)
        seconds = found["seconds"]
        for loop, each in seconds.items():
            goal = {"eager torch": wanted, "bare onnxruntime": BARE}.get(loop)
            ratios = [one / ours for one, ours in zip(each, seconds["sortal"])]
            rows.append({
                "case": f"{name}, {loop}",
                "rounds": rounds,
                "CPU ms an image (median, least, most)": spread([1e3 * one / n for one in each]),
                "its time / ours (median, least, most)": spread(ratios),
                "wanted": goal,
                "reached": None if goal is None else bool(np.median(ratios) >= goal),
                "largest difference / largest number": found["difference"][loop],
            })  # fmt: skip
    save(
        "networks", "Vectors from ResNet-18 at 224 and ResNet-20 at 32, one thread", rows, key="case",
        packages=("torch", "onnxscript"),
    )  # fmt: skip


def measure(name: str, batch: int, n: int, rounds: int, folder: str) -> dict[str, Any]:
    import torch

    from sortal import nets
    from sortal.embed import network_wish
    from sortal.progress import Progress

    torch.set_num_threads(1)
    os.environ["SORTAL_CACHE"] = folder
    net = nets.builder(name)(seed=0).eval()
    weights = Path(folder, "w.pth")
    torch.save(net.state_dict(), weights)
    wish = network_wish(f"{name}={weights}")
    assert wish is not None
    encoder = wish.made(Progress())
    images = np.random.default_rng(0).integers(0, 256, (n, *encoder.input.size, 3), np.uint8)
    mean = np.array(encoder.preprocess.mean, np.float32)
    std = np.array(encoder.preprocess.std, np.float32)
    loops: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "sortal": encoder.embed,
        "bare onnxruntime": _bare(encoder.weights, mean, std),
        "eager torch": _eager(net, mean, std, torch.contiguous_format),
        "eager torch, channels_last": _eager(net, mean, std, torch.channels_last),
    }
    difference, truth = {}, None
    for loop, run in loops.items():  # also the warm-up
        vectors = run(images[:batch])
        truth = vectors if truth is None else truth
        difference[loop] = float(f"{np.abs(vectors - truth).max() / np.abs(truth).max():.0e}")
        assert difference[loop] <= 1e-4, loop
    seconds: dict[str, list[float]] = {loop: [] for loop in loops}
    for _ in range(rounds):
        for loop, run in loops.items():
            clock = Clock()
            for start in range(0, n, batch):
                run(images[start : start + batch])
            seconds[loop].append(clock.cpu_s)
    return {"seconds": seconds, "difference": difference}


def _bare(graph: Path, mean: np.ndarray, std: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """onnxruntime with its own defaults, one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def run(images: np.ndarray) -> np.ndarray:
        batch = ((images.astype(np.float32) / 255 - mean) / std).transpose(0, 3, 1, 2)
        return session.run(["vectors"], {"images": np.ascontiguousarray(batch)})[0]

    return run


def _eager(net: Any, mean: np.ndarray, std: np.ndarray, order: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Plain torch in inference mode."""
    import copy

    import torch

    net = copy.deepcopy(net).to(memory_format=order)
    shift, scale = torch.from_numpy(mean)[:, None, None], torch.from_numpy(std)[:, None, None]

    def run(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            batch = (torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255 - shift) / scale
            return net.embed(batch.contiguous(memory_format=order)).numpy()

    return run


if __name__ == "__main__":
    main()
