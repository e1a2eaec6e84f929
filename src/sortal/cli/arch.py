"""sortal arch"""

from typing import TYPE_CHECKING, Any

import click

from sortal.cli.training import need_nets

if TYPE_CHECKING:
    from torch import nn

    from sortal.nets.arithmetic import Arithmetic, Layer


@click.command()
@click.argument("networks", nargs=-1, required=True)
@click.option("--input", "shape", metavar="CxHxW", help="One item; by default what the network was made for.")
@click.option(
    "--padding", type=click.Choice(["same", "valid"]), multiple=True,
    help="Let every convolution pad so; given twice, both side by side.",
)  # fmt: skip
@click.option("--compare", is_flag=True, help="Only the sums, side by side.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def arch(
    networks: tuple[str, ...], shape: str | None, padding: tuple[str, ...], compare: bool, as_json: bool
) -> None:
    """What networks cost: sizes, parameters, operations, memory, what one output sees.

    A network is one of sortal.nets, or a line of layers as in VGG's table: conv3-64,maxpool2,fc-10.

    \b
    sortal arch resnet50 --input 3x224x224
    sortal arch --compare vgg16 resnet50 googlenet
    sortal arch vgg16 --padding same --padding valid
    sortal arch --compare conv3-64,conv3-64 conv5-64 --input 64x56x56
    """
    from sortal.cli.output import print_json

    need_nets("sortal arch")
    made = [one for text in networks for one in _arithmetic(text, _sizes(shape), padding)]
    if as_json:
        print_json({"networks": [_record(name, found) for name, found in made]})
    elif compare or len(padding) > 1:
        _print_sums(made)
    else:
        for name, found in made:
            _print_layers(name, found)


def _sizes(shape: str | None) -> tuple[int, ...] | None:
    from sortal.errors import InputError

    if shape is None:
        return None
    parts = shape.lower().split("x")
    if not 1 <= len(parts) <= 4 or not all(part.isdecimal() and 0 < int(part) <= 100_000 for part in parts):
        raise InputError(f"--input must be the sizes of one item, such as 3x224x224; got {shape[:40]!r}.")
    return tuple(map(int, parts))


def _arithmetic(
    text: str, shape: tuple[int, ...] | None, padding: tuple[str, ...]
) -> list[tuple[str, "Arithmetic"]]:
    import torch

    from sortal.nets.arithmetic import count, with_padding

    with torch.device("meta"):  # no weights: VGG-19 costs nothing
        net, sizes = _network(text, shape)
    if not padding:
        return [(text, count(net, sizes))]
    return [(f"{text} {way}", count(with_padding(net, way), sizes)) for way in dict.fromkeys(padding)]


def _network(text: str, shape: tuple[int, ...] | None) -> tuple["nn.Module", tuple[int, ...]]:
    from sortal.errors import InputError
    from sortal.nets import builder
    from sortal.nets.chain import chain

    if "-" in text or "pool" in text:
        if shape is None:
            raise InputError(f"{text} needs --input CxHxW: a line of layers has no size of its own.")
        return chain(text, shape), shape
    build = builder(text)
    net = build() if shape is None else build(in_channels=shape[0])
    return net, shape or (net.in_channels, net.train_size, net.train_size)


def _record(name: str, found: "Arithmetic") -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "network": name, "input": found.input_shape, "weights": found.weights, "biases": found.biases,
        "parameters": found.parameters, "macs": found.macs, "activation_bytes": found.activation_bytes,
        "layers": [asdict(layer) for layer in found.layers],
    }  # fmt: skip


def _print_sums(made: list[tuple[str, "Arithmetic"]]) -> None:
    from sortal.cli.output import print_table

    rows = [
        (
            name, _by(found.input_shape), f"{found.parameters:,}", f"{found.weights:,}", f"{found.biases:,}",
            f"{found.macs:,}", f"{found.activation_bytes / 2**20:,.1f}", _last_field(found),
        )
        for name, found in made
    ]  # fmt: skip
    print_table(
        ("network", "input", "parameters", "weights", "biases", "MACs", "activations MiB", "sees"), rows
    )


def _print_layers(name: str, found: "Arithmetic") -> None:
    from sortal.cli.output import print_table

    columns = ("layer", "kind", "output", "weights", "biases", "MACs", "activations KiB", "sees", "stride")
    print_table(columns, [_row(layer) for layer in found.layers if layer.kind != "Dropout"])
    click.echo(
        f"{name} on {_by(found.input_shape)}: {found.parameters:,} parameters ({found.weights:,} weights, "
        f"{found.biases:,} biases), {found.macs:,} multiply-accumulates, "
        f"{found.activation_bytes / 1024:,.0f} KiB of activations an item in float32\n"
    )


def _row(layer: "Layer") -> tuple[str, ...]:
    return (
        layer.name, layer.kind, _by(layer.output_shape) if layer.output_shape else "not called",
        f"{layer.weights:,}", f"{layer.biases:,}", f"{layer.macs:,}",
        f"{layer.activation_bytes / 1024:,.1f}", _by(layer.receptive_field), _by(layer.stride),
    )  # fmt: skip


def _last_field(found: "Arithmetic") -> str:
    return next((_by(one.receptive_field) for one in reversed(found.layers) if one.receptive_field), "")


def _by(sizes: tuple[int, ...] | None) -> str:
    return "" if sizes is None else "x".join(map(str, sizes))
