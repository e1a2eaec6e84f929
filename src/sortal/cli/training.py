"""What commands that train or open networks share: options, and that the extra `nets` is there."""

import click

__all__ = ["BATCH_SIZE", "DEVICE", "EPOCHS", "INTO", "KIND", "PEAK_LR", "SEED", "SMOKE", "need_nets"]

DEVICE = click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")

# A network on named images: train, transfer.
KIND = click.option(
    "--kind", type=click.Choice(["auto", "photographs", "glyphs"]), default="auto", show_default=True,
    help="Glyphs are never mirrored.",
)  # fmt: skip
BATCH_SIZE = click.option(
    "--batch-size", type=click.IntRange(1), default=32, show_default=True, help="Items a step."
)
PEAK_LR = click.option(
    "--peak-lr", type=click.FloatRange(0, min_open=True),
    help="The largest learning rate.  [default: 0.02 fine-tuned, 0.05 from scratch; 0.01 without batch norm]",
)  # fmt: skip

# A recipe: recipe, sequence train.
SMOKE = click.option("--smoke", is_flag=True, help="Seconds on little: shows that it runs, reaches no goal.")
EPOCHS = click.option("--epochs", type=click.IntRange(1), help="Another number of epochs, as a time budget.")
SEED = click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same weights on CPU.")
INTO = click.option(
    "--into", type=click.Path(), help="A folder for curve, checkpoints and weights; goes on there."
)


def need_nets(command: str) -> None:
    """`MissingExtra` without torch, before anything is read. An import of our own that fails is a bug."""
    try:
        import torch  # noqa: F401
    except ImportError as e:
        from sortal.errors import MissingExtra

        raise MissingExtra(command, "nets") from e
