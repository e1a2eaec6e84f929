"""The gradient's way back through time, for recurrent layers: torch.nn's and those of `sortal.nets`."""
