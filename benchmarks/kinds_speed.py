"""Log-mel of 3,000 clips beside librosa, MiniRocket of 10,000 series beside aeon.

CPU seconds: each round runs ours and theirs, on one thread, now one first, now the other; the median of the
rounds' ratios counts, which a machine that others use moves least. Answers are compared before. Ours also
standardises what aeon's transform gives. One row needs librosa, the other the extra `series`, and so numba
under 0.64.

    python benchmarks/kinds_speed.py
    python benchmarks/kinds_speed.py minirocket
"""

import argparse
import io
import os
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from measure import data_folder, save, spread

ROUNDS = 7
CLAIM = "CPU seconds on one thread, median of rounds in turn (least, most)"


def main() -> None:
    rows = {"log-mel": log_mels, "minirocket": minirockets}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", help=f"of {', '.join(rows)}")
    for name in parser.parse_args().rows or rows:
        save(
            "kinds_speed",
            "CPU seconds on one thread, median of rounds in turn (least, most)",
            [rows[name]()],
            key="what",
        )


def log_mels() -> dict[str, Any]:
    """fsdd's clips at 16 kHz, decoded and resampled before: windows of 25 ms every 10 ms, 64 bands."""
    import librosa
    import soundfile

    from sortal.data import log_mel, resampled

    clips = []
    with zipfile.ZipFile(data_folder() / "fsdd" / "recordings.zip") as archive:
        for name in archive.namelist():
            if name.endswith(".wav"):
                samples, rate = soundfile.read(io.BytesIO(archive.read(name)), dtype="float32")
                clips.append(resampled(samples, rate, 16_000))

    def ours() -> list[np.ndarray]:
        return [log_mel(clip, 16_000, 64) for clip in clips]

    def theirs() -> list[np.ndarray]:
        return [
            np.log(
                np.maximum(
                    librosa.feature.melspectrogram(
                        y=clip, sr=16_000, n_fft=512, win_length=400, hop_length=160, center=False,
                        n_mels=64, fmin=20, htk=True, norm=None,
                    ),
                    1e-10,
                )
            )
            for clip in clips
        ]  # fmt: skip

    # librosa centres the window of 400 in its frame of 512, so frames are 56 samples apart: alike, not equal.
    for one, other in zip(ours()[:20], theirs()[:20]):
        n = min(len(one), other.shape[1])
        assert np.corrcoef(one[:n].ravel(), other.T[:n].ravel())[0, 1] > 0.97
    return compared("log-mel", f"{len(clips):,} clips", "librosa", ours, theirs)


def minirockets() -> dict[str, Any]:
    """Noise summed up, 150 values each, as GunPoint has; the fit is not timed."""
    from aeon.transformations.collection.convolution_based import MiniRocket

    from sortal.embed.minirocket import fit_minirocket

    series = np.random.default_rng(0).normal(size=(10_000, 1, 150)).cumsum(axis=2).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        encoder = fit_minirocket(series[:1_000], Path(folder))
    encoder._rocket._n_jobs = 1
    peer = MiniRocket(n_jobs=1, random_state=0).fit(series[:1_000])
    ready = [series[i : i + encoder.batch] for i in range(0, len(series), encoder.batch)]

    def ours() -> list[np.ndarray]:
        return [encoder.embed(batch) for batch in ready]

    def theirs() -> np.ndarray:
        return np.asarray(peer.transform(series))

    assert np.abs(np.concatenate(ours()) / encoder._scale + encoder._mean - theirs()).max() < 1e-5
    return compared("MiniRocket", "10,000 series", "aeon", ours, theirs)


def compared(
    what: str, of: str, peer: str, ours: Callable[[], Any], theirs: Callable[[], Any]
) -> dict[str, Any]:
    taken: dict[Callable[[], Any], list[float]] = {ours: [], theirs: []}
    for turn in range(ROUNDS):
        for work in list(taken)[:: 1 if turn % 2 else -1]:
            start = time.process_time()
            work()
            taken[work].append(time.process_time() - start)
    own, other = taken[ours], taken[theirs]
    ratios = [theirs_s / ours_s for ours_s, theirs_s in zip(own, other)]
    return {
        "what": what, "of": of, "peer": peer, "ours CPU-s": round(float(np.median(own)), 2),
        "peer CPU-s": round(float(np.median(other)), 2),
        "speed of ours / peer": spread(ratios), "goal": 0.95,
        "reached": bool(np.median(ratios) >= 0.95),
    }  # fmt: skip


if __name__ == "__main__":
    main()
