"""The command line, a module for each command; handlers do the heavy imports, so `--help` is
instant.
"""

import sys
from pathlib import Path

from bradcn_nb import __version__
from bradcn_nb.cli import (
    bench,
    convert,
    course,
    data,
    estimate,
    evaluate,
    experiments,
    export,
    labels,
    lpips_weights,
    predict,
    refocus,
    render,
    report,
    score,
    summary,
    train,
)
from bradcn_nb.cli.common import Parser


def build_parser() -> Parser:
    """Return the parser of all commands; each sets `handler`."""
    parser = Parser(
        prog="bradcn" if Path(sys.argv[0]).stem == "bradcn" else "python -m bradcn_nb",
        description="BRADCN: make its data, train it, judge it and render photographs with it.",
        epilog="example: python -m bradcn_nb render photo.jpg -o bokeh.jpg",
    )
    parser.add_argument("--version", action="version", version=__version__)
    chosen = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (
        data,
        convert,
        labels,
        train,
        report,
        evaluate,
        predict,
        score,
        lpips_weights,
        render,
        refocus,
        export,
        summary,
        estimate,
        bench,
        experiments,
        course,
    ):
        module.add(chosen)
    return parser
