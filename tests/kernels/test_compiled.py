import importlib.util
import signal
import threading

import llvmlite.binding
import pytest

from sortal.kernels.compiled import compiled

LOOP = "from sortal.kernels.compiled import compiled\n\n@compiled\ndef sums(n):\n    return n + 1\n"


@pytest.fixture
def new_loop(tmp_path):
    """A loop that no process has compiled; the second one finds the first one's cache."""
    path = tmp_path / "loops.py"
    path.write_text(LOOP)

    def load():
        spec = importlib.util.spec_from_file_location("loops", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.sums

    return load


@pytest.fixture
def ctrl_c_in_a_callback(monkeypatch):
    """Each time LLVM asks Python for an object file: there ctypes prints what is raised, and goes on."""
    engine = llvmlite.binding.ExecutionEngine
    find, calls = engine._find_module_ptr, []

    def find_with_signal(self, pointer):
        calls.append(pointer)
        if len(calls) == 1:
            signal.raise_signal(signal.SIGINT)
        return find(self, pointer)

    monkeypatch.setattr(engine, "_find_module_ptr", find_with_signal)
    return calls


@pytest.mark.filterwarnings("error")  # pytest's own for what is raised where nobody can catch it
@pytest.mark.parametrize("from_disk", [False, True])
def test_ctrl_c_while_compiling_or_loading_is_raised_afterwards(new_loop, ctrl_c_in_a_callback, from_disk):
    before = signal.getsignal(signal.SIGINT)
    if from_disk:
        with pytest.raises(KeyboardInterrupt):
            new_loop()(1)
        ctrl_c_in_a_callback.clear()
    loop = new_loop()
    with pytest.raises(KeyboardInterrupt):
        loop(1)
    assert ctrl_c_in_a_callback  # the signal came
    assert sum(loop.stats.cache_hits.values()) == from_disk
    assert signal.getsignal(signal.SIGINT) is before
    assert loop(1) == 2  # nothing is half compiled, no signal comes twice


def test_a_handler_of_ones_own_is_asked_once_it_is_compiled(new_loop, ctrl_c_in_a_callback):
    loop = new_loop()
    asked = []
    before = signal.signal(signal.SIGINT, lambda number, frame: asked.append(len(loop.signatures)))
    try:
        assert loop(1) == 2
    finally:
        signal.signal(signal.SIGINT, before)
    assert asked == [1]


def test_other_threads_compile_without_touching_signals(new_loop):
    loop, results = new_loop(), []
    thread = threading.Thread(target=lambda: results.append(loop(1)))
    thread.start()
    thread.join()
    assert results == [2]


def test_without_a_folder_for_a_cache_it_is_compiled_all_the_same():
    made = compiled(eval("lambda n: n + 1"))  # no file, hence no locator
    assert made(1) == 2
