"""sortal gradients"""

import click

from sortal.cli.training import need_nets


@click.command()
@click.argument("subject")
@click.option("--data", type=click.Path(), help="What it learns from.  [default: scikit-learn's digits]")
@click.option("--weights", help="For a network by name: a file of weights.  [default: drawn]")
@click.option("--steps", type=click.IntRange(0), default=200, show_default=True, help="Of each cure tried.")
@click.option("--batches", type=click.IntRange(1), default=3, show_default=True, help="That are looked at.")
@click.option("--lr", type=click.FloatRange(0, min_open=True), help="Of the trials.  [default: the run's]")
@click.option("--into", type=click.Path(), default="gradients", show_default=True, help="Folder of the page.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def gradients(
    subject: str, data: str | None, weights: str | None, steps: int, batches: int, lr: float | None,
    into: str, as_json: bool,
) -> None:  # fmt: skip
    """Does the gradient get there? Where it vanishes, explodes or dies, by layer and by lag, and what helps.

    SUBJECT is the folder of a run (sortal recipe, sortal sequence train, with --into), a model folder that
    holds a network, or a network of sortal.nets by name. Cures are tried on copies; nothing of it changes.

    \b
    sortal gradients runs/adding --into gradients/
    sortal gradients plain56 --data mnist/
    """
    from sortal.cli.output import print_json, print_table, progress

    need_nets("sortal gradients")
    from sortal.diagnose.study_folder import check_folder
    from sortal.diagnose.verdict.findings import UNSEEN, findings, findings_record, write_findings
    from sortal.diagnose.verdict.opened import opened

    check_folder(into)
    with progress() as shown:
        seen = opened(subject, data, weights, n_batches=batches, progress=shown)
        found = findings(seen, steps=steps, lr=lr, progress=shown)
        page = write_findings(into, found)
    if as_json:
        print_json(findings_record(found) | {"page": str(page)})
        return
    print_table(("part", "condition", "sure", "why"), found.table)
    for name in found.unseen:
        click.echo(f"{name}: {UNSEEN}.")
    if found.trials:
        rows = [(one.cure, f"{one.loss:.3g}", one.condition) for one in found.trials]
        print_table(("cure", f"loss after {found.trials[0].steps} steps", "then"), rows)
    click.echo(f"wrote {page}")
