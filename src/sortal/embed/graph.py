"""An ONNX file opened with onnxruntime on the CPU."""

import os
from pathlib import Path
from typing import Any

from sortal.data import shown
from sortal.embed.options import first_line
from sortal.errors import DataError, InputError

__all__ = ["open_graph", "output_name", "read_graph"]


def read_graph(path: str | os.PathLike[str]) -> bytes:
    """The bytes of an ONNX file. `InputError` where there is none, `DataError` where it is empty."""
    try:
        content = Path(path).read_bytes()
    except OSError as e:
        raise InputError(
            f"the encoder must be auto, one by name, or an ONNX file; {shown(os.fspath(path))}: {e.strerror}."
        ) from e
    if not content:
        raise DataError(f"{shown(os.fspath(path))}: an ONNX file must hold a network; it is empty.")
    return content


def open_graph(content: bytes, path: Path, n_threads: int) -> Any:
    """A session of onnxruntime. `DataError` where it cannot load `content`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.log_severity_level = 4  # errors reach the user as exceptions, in one line
    # Spinning threads would take the cores that decode the next batch.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
        for port in (*session.get_inputs(), *session.get_outputs()):
            _ = port.name, port.shape  # names that are no UTF-8 fail here, where it can be said
        session.get_modelmeta().custom_metadata_map  # noqa: B018
        return session
    except Exception as e:
        raise DataError(
            f"{shown(str(path))}: onnxruntime must be able to load it; it says: {first_line(e)} "
            "(a file whose weights lie in a second file must be saved as one)."
        ) from e


def output_name(session: Any, wish: str | None, axes: tuple[int, ...], name: str) -> str:
    """`wish`, or the first output with the first number of axes that one has, or else the first."""
    outputs = session.get_outputs()
    names = [output.name for output in outputs]
    if wish is not None:
        if wish in names:
            return wish
        raise InputError(f"{name}: output must be one of {', '.join(names)[:200]}; got {wish!r}.")
    for n in axes:
        for output in outputs:
            if len(output.shape) == n:
                return str(output.name)
    return str(names[0])
