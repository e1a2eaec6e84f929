"""sortal recipe"""

import click

from sortal.cli.training import DEVICE, EPOCHS, INTO, SEED, SMOKE, need_nets
from sortal.cli.watch import watch_option, watching

NAMES = ("lenet5-mnist", "resnet20-cifar10", "resnet20-finetune")  # those of sortal.train.recipes


@click.command()
@click.argument("name", type=click.Choice(NAMES))
@click.option(
    "--data", type=click.Path(), help="The folder that holds the data.  [default for --smoke: digits]"
)
@SMOKE
@EPOCHS
@SEED
@DEVICE
@INTO
@watch_option
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def recipe(
    name: str,
    data: str | None,
    smoke: bool,
    epochs: int | None,
    seed: int,
    device: str,
    into: str | None,
    watch: int | None,
    as_json: bool,
) -> None:
    """Train a published recipe and test it against its goal.

    Killed or stopped, the same command with the same --into goes on where it was.

    \b
    sortal recipe lenet5-mnist --data data/ --into runs/lenet
    sortal recipe resnet20-cifar10 --smoke
    """
    from dataclasses import replace

    from sortal.cli.output import print_json, progress
    from sortal.train import recipes
    from sortal.train.curve import epoch_line

    asked = recipes.RECIPES[name]()
    if smoke:
        asked = recipes.smoke(asked)
    if epochs:
        asked = recipes.within(asked, epochs)
    plan = replace(asked.plan, seed=seed)
    asked = replace(asked, plan=plan)
    if data is None and not smoke:
        raise click.UsageError("--data is needed: the folder that holds the data; or try --smoke.")
    need_nets("sortal recipe")
    from sortal.train.run_recipe import run_recipe

    with progress() as shown, watching(into, watch, shown) as watchers:
        found = run_recipe(
            asked, data, device=device, folder=into, watchers=watchers, progress=shown,
            on_epoch=lambda epoch: shown.say(epoch_line(epoch, plan.epochs)),
        )  # fmt: skip
    if as_json:
        print_json(found.as_json())
        return
    click.echo(f"{found.recipe}: {found.trained.stopped}, {found.cpu_s:,.0f} CPU-s, {found.wall_s:,.0f} s")
    if found.before is not None:
        click.echo(f"as it came: {found.before:.2%} of {found.n_test:,} test images right")
    verdict = "" if found.goal is None else f"; goal {found.goal:.2%}, "
    if found.goal is not None:
        verdict += "reached" if found.right >= found.goal else "not reached"
    click.echo(
        f"{found.right:.2%} of {found.n_test:,} test images right, {1 - found.right:.2%} wrong{verdict}"
    )
    if into:
        click.echo(f"curve: {into}/curve.html, curve.csv; weights: {into}/weights.safetensors")
