import signal
import subprocess
import sys
import time

import pytest

# Estimator, rows that compile its loops in a moment, rows that take minutes.
FITS = {
    "kmedoids": ("KMedoids(200, max_iter=10**6, random_state=0, init='random')", "x[:600]", "x[:12000]"),
    "clara": ("KMedoids(300, method='clara', random_state=0)", "x[:6000]", "x"),
    "kernel": ("KernelKMeans(40, gamma=0.05, n_init=N, random_state=0)", "x[:600]", "x[:20000]"),
    "dbscan": ("DBSCAN(eps=3.0)", "x[:9000, :16]", "np.tile(x[:, :16], (8, 1))"),
    "dbscan 64": ("DBSCAN(eps=1.5)", "y[:9000]", "y"),
    "dbscan 512": ("DBSCAN(eps=4.2)", "y[:2000].repeat(8, axis=1)", "y[:40000].repeat(8, axis=1)"),
    "dbscan plane": ("DBSCAN(eps=0.5, min_samples=10**6)", "x[:9000, :2]", "np.tile(x[:, :2], (16, 1))"),
    "dbscan cosine": ("DBSCAN(eps=0.3, metric='cosine')", "x[:600]", "np.tile(x, (1, 8))"),
}


@pytest.mark.slow
@pytest.mark.parametrize("fit", FITS)
def test_ctrl_c_ends_a_long_fit(fit):
    estimator, few, many = FITS[fit]
    program = (
        "import numpy as np\nfrom sortal.cluster import DBSCAN, KMedoids, KernelKMeans\n"
        "x = np.random.default_rng(0).standard_normal((60000, 32), dtype=np.float32)\n"
        "y = np.random.default_rng(0).random((60000, 64))\n"
        "y = np.random.default_rng(0).random((60000, 64))\n"
        f"N = 1\n{estimator}.fit({few})\nN = 500\n"
        f"print('begins', flush=True)\n{estimator}.fit({many})\nprint('ended', flush=True)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"begins\n"
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)  # 1.7 to 3.0 s with twelve processes on two cores
    assert b"KeyboardInterrupt" in err
    assert b"ended" not in out
    assert b"Exception ignored" not in err  # a callback of ctypes or a destructor would have swallowed it
