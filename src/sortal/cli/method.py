"""The options that say how to group, shared by the commands that do."""

import json

import click

__all__ = ["METHOD", "PARAM", "SUGGEST", "Number", "method_text", "wanted_k"]


class Number(click.ParamType[int | str]):
    """A number of groups, or "auto"."""

    name = "number|auto"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        if value == "auto" or isinstance(value, int):
            return value
        try:
            return int(str(value))
        except ValueError:
            self.fail(f"{value!r} is neither a whole number nor auto", param, ctx)


METHOD = click.option(
    "--method",
    metavar="NAME",
    help="graph (default for piles), kmeans, spherical, soft, kernel, kmedoids, dbscan, sklearn.cluster.X.",
)
PARAM = click.option(
    "--param",
    "params",
    multiple=True,
    metavar="KEY=VALUE",
    help="A parameter of the method; the value as JSON. May be repeated.",
)
SUGGEST = click.option(
    "--suggest",
    "suggested",
    is_flag=True,
    help="Let the data choose the parameters, and the method if none is given.",
)


def method_text(method: str | None, params: tuple[str, ...]) -> str | None:
    """NAME(key=value, ...), as the library takes it."""
    if not params:
        return method
    if method is None:
        raise click.UsageError("--param belongs to a method: give --method too.")
    if "(" in method:
        raise click.UsageError("parameters stand either in --method or in --param, not in both.")
    pairs = []
    for param in params:
        key, equals, value = param.partition("=")
        if not equals:
            raise click.UsageError(f"--param wants KEY=VALUE; got {param[:60]!r}.")
        pairs.append(f"{key.strip()}={_as_json(value)}")
    return f"{method}({', '.join(pairs)})"


def wanted_k(k: int | str | None, suggested: bool) -> int | str | None:
    if suggested and k is not None:
        raise click.UsageError("-k and --suggest exclude each other: --suggest looks for the number.")
    return "suggest" if suggested else k


def _as_json(value: str) -> str:
    """What a shell leaves of `"cosine"` is no JSON and is taken as text."""
    try:
        json.loads(value)
    except ValueError:
        return json.dumps(value)
    return value
