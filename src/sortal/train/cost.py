"""What a piece of work costs: CPU-seconds, seconds, the most memory held at once."""

import contextlib
import sys
import time
from dataclasses import dataclass

__all__ = ["Cost", "Meter"]


@dataclass(frozen=True)
class Cost:
    """`cpu_s` sums over all threads; `peak_mb` (10^6 bytes) is the whole process's, on a GPU the device's."""

    cpu_s: float
    wall_s: float
    peak_mb: float

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.cpu_s + other.cpu_s, self.wall_s + other.wall_s, max(self.peak_mb, other.peak_mb))

    def share(self, of: float) -> "Cost":
        """The seconds of a part of the work, with the memory of all of it."""
        return Cost(self.cpu_s * of, self.wall_s * of, self.peak_mb)


class Meter:
    """Runs from its making on."""

    def __init__(self, device: str = "cpu") -> None:
        self._cuda = device.startswith("cuda")
        _forget_peak(self._cuda)
        self._since = time.process_time(), time.perf_counter()

    def cost(self) -> Cost:
        cpu, wall = time.process_time() - self._since[0], time.perf_counter() - self._since[1]
        return Cost(cpu, wall, _peak_mb(self._cuda))


def _forget_peak(cuda: bool) -> None:
    if cuda:
        import torch

        torch.cuda.reset_peak_memory_stats()
    else:  # Linux starts its record anew; elsewhere it is that of the process so far
        with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")


def _peak_mb(cuda: bool) -> float:
    if cuda:
        import torch

        return float(torch.cuda.max_memory_allocated()) / 1e6
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    import resource

    kilo = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilo / 1e6
