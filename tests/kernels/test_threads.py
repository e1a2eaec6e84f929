import signal
import threading
import time

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController

import sortal.kernels
from sortal.kernels import (
    map_blocks,
    n_threads,
    nearest_center,
    one_blas_thread,
    oriented_gradients,
    top_neighbors,
)


def blas_threads():
    # OpenBLAS over OpenMP (faiss brings one) counts for each calling thread apart.
    libraries = ThreadpoolController().info()
    return [lib["num_threads"] for lib in libraries if lib.get("threading_layer") == "pthreads"]


@pytest.mark.parametrize("threads", ["1", "2", "64"])
def test_blocks_come_in_order(monkeypatch, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    slices = list(map_blocks(lambda rows: rows, 103, 10))
    assert [rows.start for rows in slices] == list(range(0, 103, 10))
    assert slices[-1].stop == 103
    assert list(map_blocks(lambda rows: rows, 0, 10)) == []


def test_an_error_in_a_block_reaches_the_caller():
    with pytest.raises(ZeroDivisionError):
        list(map_blocks(lambda rows: 1 // (rows.start - 30), 100, 10))
    with one_blas_thread():
        pass  # the limit was given back


def test_the_number_of_threads_changes_no_bit(monkeypatch):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, 20)).astype(np.float32)
    images = rng.random((100, 32, 32), np.float32)
    results = []
    for threads in ("1", "2"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        results.append([*nearest_center(x, x[:30]), *top_neighbors(x, 5), oriented_gradients(images)])
    for one, two in zip(*results):
        assert np.array_equal(one, two)


def test_omp_num_threads_only_lowers(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    all_cores = n_threads()
    for asked, answer in {"1": 1, "1,4": 1, "9999": all_cores, "0": 1, "many": all_cores}.items():
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
        assert n_threads() == answer


def test_overlapping_users_share_the_blas_limit():
    before = blas_threads()
    entered, leave = threading.Event(), threading.Event()

    def first():
        with one_blas_thread():
            entered.set()
            leave.wait()

    thread = threading.Thread(target=first)
    thread.start()
    entered.wait()
    with one_blas_thread():
        leave.set()
        thread.join()
        assert set(blas_threads()) == {1}  # the first has left, the second still counts on it
    assert blas_threads() == before


def test_the_last_to_leave_gives_back_what_another_thread_took():
    before = blas_threads()
    with one_blas_thread():
        entered, leave = threading.Event(), threading.Event()

        def second():
            with one_blas_thread():
                entered.set()
                leave.wait()

        thread = threading.Thread(target=second)
        thread.start()
        entered.wait()
    assert set(blas_threads()) == {1}
    leave.set()
    thread.join()
    assert blas_threads() == before


def test_the_door_lists_all_it_offers():
    assert len(set(sortal.kernels.__all__)) == len(sortal.kernels.__all__)
    assert all(hasattr(sortal.kernels, name) for name in sortal.kernels.__all__)


def test_an_error_waits_for_its_turn_and_ends_the_work(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    seen = []
    got = []
    blocks = map_blocks(lambda rows: seen.append(rows.start) or 1 // (rows.start - 500), 100_000, 1)
    with pytest.raises(ZeroDivisionError):
        got.extend(blocks)
    assert len(got) == 500
    assert len(seen) < 600  # 16 results for each of two threads, and what was under way


def test_who_stops_taking_results_stops_the_work(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    seen, before = [], threading.active_count()
    blocks = map_blocks(lambda rows: seen.append(rows.start), 100_000, 1)
    next(blocks)
    blocks.close()
    assert len(seen) < 100
    assert threading.active_count() == before


def test_ctrl_c_in_the_callers_own_block_leaves_at_once(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    caller, given = threading.current_thread(), []

    def interrupted(rows):
        if threading.current_thread() is caller:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        given.extend(map_blocks(interrupted, 100_000, 1))
    assert len(given) < 1000


@pytest.mark.slow
def test_ctrl_c_at_any_moment_leaves_no_lock_and_no_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    caller, matrix, threads = threading.main_thread().ident, np.eye(30), threading.active_count()

    def press(pause):
        time.sleep(pause)
        signal.pthread_kill(caller, signal.SIGINT)

    for pause in np.random.default_rng(0).uniform(0, 0.01, 200):
        presser = threading.Thread(target=press, args=[pause])
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012
            presser.start()
            while True:
                list(map_blocks(lambda rows: np.linalg.svd(matrix), 400, 1))
        presser.join()
    assert threading.active_count() == threads


@pytest.mark.parametrize("n", [1, 40])
def test_ctrl_c_that_numba_wrapped_is_a_ctrl_c(n):
    def loop(rows):
        try:
            raise SystemError("it") from KeyboardInterrupt()
        except SystemError as e:
            raise SystemError("CPUDispatcher returned a result with an exception set") from e

    with pytest.raises(KeyboardInterrupt):
        list(map_blocks(loop, n, 1))
