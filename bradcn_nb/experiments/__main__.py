"""Run the experiments that are named: `python -m bradcn_nb.experiments --help`."""

import argparse
import signal
import sys
import time
from pathlib import Path

from bradcn_nb.cli.common import Parser, natural
from bradcn_nb.errors import BradcnError
from bradcn_nb.experiments import measure
from bradcn_nb.experiments.cost import cost
from bradcn_nb.experiments.errors import errors
from bradcn_nb.experiments.maps import make_maps
from bradcn_nb.experiments.motorcycle import on_motorcycle
from bradcn_nb.experiments.pictures import table1_pictures
from bradcn_nb.experiments.record import provenance, weights_path, write_result
from bradcn_nb.experiments.rooms import make_room_maps, rooms_example
from bradcn_nb.experiments.table1 import TABLE1
from bradcn_nb.experiments.table2 import TABLE2
from bradcn_nb.models import load_bradcn

MEASURES = {
    **measure.MEASURES,
    "cost": cost,
    "errors": errors,
    "rooms": rooms_example,
    "table1-pictures": table1_pictures,
    "motorcycle": on_motorcycle,
}
TABLES = {table.name: table for table in (TABLE1, TABLE2)}

TEXT = """Measure what the book and the README quote; each name writes one file of data/results.

  mini        the bundled weights on mini-EBB's test pairs
  full-size   scenes at 8 times the size of mini-EBB's
  skip        what each kind of skip could reach at best
  real        any folder of real EBB! pairs (--ebb)
  cost        weights, multiply-accumulates and time of Table I's methods
  maps        depth and error maps of runs/data, which table2 trains on (minutes)
  errors      how good ADCN's error map is, in domain and out of it (after maps; minutes)
  rooms       maps of one pair, from a depth net that knows rooms only (after maps)
  table1      BRADCN beside the other methods (hours; goes on where it stopped)
  table2      the ablation and its oracles (likewise)
  table1-pictures  what the nets of table1 draw on three test pictures, as far as they are trained
  motorcycle  a real photograph with measured depth; also the nets of both tables that are trained"""
EXAMPLES = """examples:
  python -m bradcn_nb.experiments mini full-size skip
  python -m bradcn_nb.experiments real --ebb /data/EBB
  python -m bradcn_nb.experiments maps table2 --jobs 2 --seeds 5\n  python -m bradcn_nb.experiments table1 --arms brvit bradcn --seeds 3"""


def build_parser() -> Parser:
    """Return the parser of this module's options."""
    parser = Parser(
        prog="python -m bradcn_nb.experiments",
        description=TEXT,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = (*MEASURES, "maps", *TABLES)
    parser.add_argument("names", nargs="+", choices=names, metavar="NAME")
    parser.add_argument("--ebb", type=Path, metavar="DIR", help="real: folder of EBB! pairs")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), metavar="DIR", help="trainings; default: runs"
    )
    arms = "; ".join(f"{name}: {', '.join(table.titles)}" for name, table in TABLES.items())
    parser.add_argument(
        "--arms", nargs="+", metavar="ARM", help=f"rows of a table; default: all. {arms}"
    )
    parser.add_argument("--seeds", type=natural, default=5, metavar="N", help="default: 5")
    parser.add_argument(
        "--jobs", type=natural, default=2, metavar="N", help="processes; default: 2"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the experiments that are named and write their results; 2 after a user's error."""
    options = build_parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that no process is left behind
    data, shown = options.runs / "data", not options.quiet
    try:
        for name in options.names:
            start = time.monotonic()
            if name == "maps":
                make_maps(data / "mini-ebb", data / "maps", options.jobs, shown)
                path = make_room_maps(data, options.runs / "rooms", shown)
            elif name in TABLES:
                runs = options.runs / name
                path = TABLES[name].run(
                    data, runs, options.arms, options.seeds, options.jobs, shown
                )
            else:
                values = MEASURES[name](load_bradcn("mini", weights_path()), options)
                path = write_result(name, {**values, "made": provenance(start)})
            print(path)
    except (BradcnError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
