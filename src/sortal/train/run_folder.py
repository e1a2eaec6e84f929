"""The folder of a run: what was asked, how it went, what came out.

plan.json             the resolved settings; a later run with others is refused
curve.csv curve.html  one line an epoch, and the same as plots
checkpoints/          see checkpoint.py
weights.safetensors   the best weights, once the run has ended
"""

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from sortal.errors import DataError, InputError, StoreError
from sortal.nets.checkpoint import WRITTEN_BY
from sortal.train.checkpoint import tensor_bytes
from sortal.train.curve import Epoch, curve_csv, curve_page
from sortal.whole import write_whole

__all__ = ["RunFolder", "difference"]


WRITTEN = ("weights.safetensors", "curve.csv", "curve.html", "checkpoints")


class RunFolder:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self._facts: list[tuple[str, str]] = []
        self._begun_on = self._network = ""

    def claim(self, settings: Mapping[str, Any], net: nn.Module, device: str) -> None:
        """Make the folder this run's. `InputError` where it is another's, naming what differs, or none's."""
        shapes = {name: list(value.shape) for name, value in net.state_dict().items()}
        self._network = type(net).__name__
        asked = json.loads(json.dumps({**settings, "net": self._network, "shapes": shapes}))
        stands = self._settings()
        foreign = [name for name in WRITTEN if stands is None and (self.path / name).exists()]
        if foreign:  # a model folder has weights.safetensors too: they would be gone
            raise InputError(
                f"folder {self.path} must be a run's or have room for one; it holds {foreign[0]} of "
                "something else. Choose another folder."
            )
        if stands is not None and "made_with" in stands and not self.checkpoints.is_dir():
            stands = None  # a run of ours that kept no step: nothing is lost
        if stands is None:
            made = {"device": device, "torch": version("torch"), "sortal": version("sortal")}
            self._write("plan.json", json.dumps({**asked, "made_with": made}, indent=1) + "\n")
        elif differs := difference(stands, asked):
            raise InputError(
                f"folder {self.path} holds a run with other settings ({differs}); choose another folder, or "
                "remove this one."
            )
        self._begun_on = device if stands is None else str(stands.get("made_with", {}).get("device"))
        plan = asked["plan"]
        self._facts = [("network", asked["net"]), ("device", device)]
        self._facts += [(name, str(value)) for name, value in plan.items() if value is not None]

    def goes_on(self, step: int, device: str) -> str:
        """A line that says so; sums of floating point come out alike only on as many threads."""
        begun = f"; begun on {self._begun_on}, so the last bits may differ"
        return f"goes on after step {step:,}{'' if device == self._begun_on else begun}"

    def write_curve(self, curve: Sequence[Epoch]) -> None:
        self._write("curve.csv", curve_csv(curve))
        self._write("curve.html", curve_page(f"Training {self.path.name}", self._facts, curve))

    def write_weights(self, weights: Mapping[str, Tensor]) -> None:
        content = tensor_bytes(weights, {WRITTEN_BY: self._network})
        write_whole(self.path / "weights.safetensors", content)

    def _settings(self) -> dict[str, Any] | None:
        path = self.path / "plan.json"
        try:
            return dict(json.loads(path.read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as e:  # dict's own, for JSON of another kind
            raise DataError(f"{path} must be the settings of a run; {e}. Choose another folder.") from e

    def _write(self, name: str, text: str) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise StoreError(f"{self.path} cannot be made: {e.strerror}; choose another place.") from e
        write_whole(self.path / name, text.encode())


def difference(stands: Mapping[str, Any], asked: Mapping[str, Any], where: str = "") -> str | None:
    """The first setting that is not the same, as `plan.epochs: 3, now 5`."""
    for name, value in asked.items():
        before = stands.get(name)
        if before == value:
            continue
        if isinstance(before, dict) and isinstance(value, dict):
            return difference(before, value, f"{where}{name}.") or f"{where}{name}"
        return f"{where}{name}: {str(before)[:60]}, now {str(value)[:60]}"
    return None
