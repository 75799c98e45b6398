"""Every experiment by name: what runs it, and the file of data/results that it writes."""

import argparse
import time
from pathlib import Path

from bradcn_nb.experiments import measure, metrics
from bradcn_nb.experiments.bundled_weights import bundle_run, keep_defocus
from bradcn_nb.experiments.cards import write_cards
from bradcn_nb.experiments.cost import cost
from bradcn_nb.experiments.defocus_quality import defocus_quality
from bradcn_nb.experiments.errors import errors
from bradcn_nb.experiments.maps import make_maps
from bradcn_nb.experiments.motorcycle import on_motorcycle
from bradcn_nb.experiments.pictures import table1_pictures
from bradcn_nb.experiments.readme_pictures import readme_pictures
from bradcn_nb.experiments.record import provenance, weights_path, write_result
from bradcn_nb.experiments.remedy import REMEDY, remedy
from bradcn_nb.experiments.rooms import make_room_maps, rooms_example
from bradcn_nb.experiments.table1 import TABLE1
from bradcn_nb.experiments.table2 import TABLE2
from bradcn_nb.files import data_root
from bradcn_nb.models import load_bradcn

MEASURES = {  # name -> function of (the bundled BRADCN, options) whose values are kept
    **measure.MEASURES,
    "metrics": metrics.metrics,
    "cost": cost,
    "errors": errors,
    "defocus": defocus_quality,
    "rooms": rooms_example,
    "table1-pictures": table1_pictures,
    "motorcycle": on_motorcycle,
}
TABLES = {table.name: table for table in (TABLE1, TABLE2, REMEDY)}


def run(name: str, options: argparse.Namespace) -> Path:
    """Run the experiment `name`; return the file or folder that it wrote.

    `options` are those of the command line: `runs`, `ebb`, `arms`, `seeds`, `jobs`, `quiet`. Raises
    what the experiment raises: DataError and WeightsError where something is missing.
    """
    start, data, shown = time.monotonic(), options.runs / "data", not options.quiet
    if name == "maps":
        make_maps(data / "mini-ebb", data / "maps", options.jobs, shown)
        return make_room_maps(data, options.runs / "rooms", shown)
    if name == "summaries":
        for table in TABLES.values():
            path = table.summarise()
        return path.parent
    if name in TABLES:
        run_table = remedy if name == REMEDY.name else TABLES[name].run
        runs = options.runs / name
        return run_table(data, runs, options.arms, options.seeds, options.jobs, shown)
    if name == "defocus-weights":
        return keep_defocus(options.runs / "remedy" / "calibration", data_root() / "weights")
    if name == "cards":
        return write_cards(data_root().parent)[0].parent
    if name == "bundled-weights":
        return bundle_run(options.runs / "mini", data_root() / "weights")
    model = load_bradcn("mini", weights_path())
    if name == "readme-pictures":
        return readme_pictures(model)
    values = MEASURES[name](model, options)
    made = provenance(start) | values.pop("made", {})
    return write_result(name, {**values, "made": made})
