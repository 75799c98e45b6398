"""How long things take, commit by commit: `make speed` measures, and book/speed.md shows.

Kept in data/results/speed.json, a row a commit: so a change that costs time is seen. Minutes on a
machine with nothing else to do; the rate of its large matrix products stands beside them, because
times of two machines do not compare.

    python book/speed.py              # measure what this commit's row lacks
    python book/speed.py --page       # write book/speed.md again from the file
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from playwright.sync_api import sync_playwright
from sklearn.datasets import load_sample_image
from tqdm import tqdm

from bradcn_nb.data import EBB
from bradcn_nb.evaluation.metrics import Protocol
from bradcn_nb.evaluation.predict import predict
from bradcn_nb.experiments.costs.bench_nets import product
from bradcn_nb.experiments.costs.turns import cpu_name
from bradcn_nb.experiments.record import weights_path, write_result
from bradcn_nb.experiments.runs import mini_arm
from bradcn_nb.experiments.tables import BATCH, two_phases
from bradcn_nb.files import data_root, write_atomically
from bradcn_nb.lens.by_depth import render_lens
from bradcn_nb.lens.thin_lens import resize
from bradcn_nb.models import BRADCN, load_bradcn, load_weights, save_weights
from bradcn_nb.training import train
from bradcn_nb.training.run import commit

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from chromium import FLAGS, find_chromium  # noqa: E402

FILE, PAGE = ROOT / "data" / "results" / "speed.json", ROOT / "book" / "speed.md"
PAIRS = ROOT / "runs" / "data" / "mini-ebb"  # 3,300; made by `make runs/data/.made`
GOAL_DB, EVERY = 27.0, 75  # PSNR on mini-EBB's test pairs, looked at every so many steps
THREADS = 2
COLUMNS = {  # what is measured: how the page calls it
    "minutes_to_27_dB": f"BRADCN's stage 2 to {GOAL_DB}<!-- example --> dB on mini-EBB, minutes",
    "lens_12_mp_s": "the lens step alone on 12 megapixels, seconds",
    "make_test_minutes": "`make test` in a made environment, minutes",
    "first_page_s": "the book's first page until it is loaded, seconds",
    "product_gflops": "this machine's large matrix products, GFLOP/s",
}


def to_goal() -> float:
    """Minutes of training of the tables' arm `bradcn` (seed 0), until it has `GOAL_DB`.

    Steps as in Table I; the time of looking is not counted, that of starting again each time is.
    """
    if not PAIRS.is_dir():
        raise SystemExit(f"{PAIRS}: is not there; make it with `make runs/data/.made`")
    chosen = mini_arm(two_phases("bradcn", frozen=("adcn",)), seed=0)
    spent, protocol = 0.0, Protocol(backbone=None)
    test = EBB(data_root() / "mini-ebb", "test")
    with tempfile.TemporaryDirectory() as folder:
        adcn = Path(folder) / "adcn.safetensors"
        save_weights(load_bradcn().adcn, adcn, "mini")
        init = {"depth": weights_path("depth"), "adcn": adcn}
        per_stage = len(EBB(PAIRS, "train")) // BATCH
        shown = tqdm(unit="step", desc=f"to {GOAL_DB} dB")
        for stage in chosen.stages:
            for steps in range(EVERY, per_stage + 1, EVERY):
                start = time.monotonic()
                weights = train(
                    chosen, stage.name, Path(folder) / "run", init=init, data={"ebb": PAIRS},
                    max_steps=steps, threads=THREADS, progress=False,
                )  # fmt: skip
                spent += time.monotonic() - start
                shown.update(EVERY)
                net = BRADCN(chosen.model)
                load_weights(weights, net, "mini")
                reached = np.mean(
                    [
                        protocol.measure(
                            item["bokeh"], predict(net.eval(), item["image"], (64, 96))
                        )["psnr"]
                        for item in map(test.read, range(len(test)))
                    ]
                )
                shown.set_postfix(psnr=f"{reached:.2f}")
                if reached >= GOAL_DB:
                    return spent / 60
    raise SystemExit(f"{GOAL_DB} dB were not reached: something has become worse")


def lens_12_mp() -> float:
    """Seconds for a photograph of 12 megapixels by a given depth: a slope from 1 to 8 m."""
    photo = resize(load_sample_image("china.jpg").astype(np.float32) / 255, (3000, 4000))
    depth = np.linspace(8, 1, 3000, dtype=np.float32)[:, None].repeat(4000, axis=1)
    times = []
    for _ in range(3):
        start = time.monotonic()
        render_lens(photo, depth)
        times.append(time.monotonic() - start)
    return float(np.median(times))


def make_test() -> float:
    """Minutes of `make test`, which must pass."""
    start = time.monotonic()
    subprocess.run(["make", "test"], cwd=ROOT, check=True, stdout=sys.stderr)
    return (time.monotonic() - start) / 60


def first_page() -> float:
    """Seconds until the built book's first page is loaded from disk, the median of 5 times."""
    page_file, times = ROOT / "book" / "_build" / "html" / "index.html", []
    if not page_file.is_file():
        raise SystemExit(f"{page_file}: is not there; make it with `make book`")
    with sync_playwright() as playwright:
        for _ in range(5):  # a new browser each, so nothing is in a cache
            browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
            page = browser.new_page()
            start = time.monotonic()
            page.goto(page_file.as_uri(), wait_until="load")
            page.wait_for_url("**/intro.html", wait_until="load")
            times.append(time.monotonic() - start)
            browser.close()
    return float(np.median(times))


def product_gflops() -> float:
    """The rate of products of matrices of 3072 rows, with `THREADS` threads, the best of 5."""
    run, best = product(3072), float("inf")
    for _ in range(5):
        start = time.monotonic()
        run()
        best = min(best, time.monotonic() - start)
    return 2 * 3072**3 / best / 1e9


MEASURES: dict[str, Callable[[], float]] = {
    "product_gflops": product_gflops,
    "lens_12_mp_s": lens_12_mp,
    "minutes_to_27_dB": to_goal,
    "make_test_minutes": make_test,
    "first_page_s": first_page,
}


def measure() -> None:
    """Measure what the row of this commit lacks; each value is kept as soon as it is there."""
    torch.set_num_threads(THREADS)
    rows = kept()
    now = commit()
    row = next((row for row in rows if row["commit"] == now), None)
    if row is None:
        row = {"commit": now, "date": time.strftime("%Y-%m-%d"), "cpu": cpu_name()}
        rows.append(row)
    for name, run in MEASURES.items():
        if name not in row:
            row[name] = round(run(), 3)
            write_result("speed", {"threads": THREADS, "rows": rows})
            write_atomically(PAGE, page().encode())  # or `make test` would find it stale
            print(f"{name}: {row[name]}")


def kept() -> list[dict]:
    """Return the rows that there are, oldest first."""
    return json.loads(FILE.read_text("utf-8"))["rows"] if FILE.is_file() else []


def page() -> str:
    """Return book/speed.md."""
    titles = ["commit", "date", *COLUMNS.values(), "CPU"]
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    for row in reversed(kept()):
        values = [f"{row[name]:.2f}" if name in row else "" for name in COLUMNS]
        cells = [row["commit"][:7], row["date"], *values, row["cpu"]]
        lines.append("| " + " | ".join(cells) + " |")
    table = "\n".join(lines)
    return f"""# How long it takes

A change that costs time should be seen before somebody waits for it. So a few times are kept
commit by commit, the newest first, as `make speed` measures them on {THREADS} threads of a machine
that does nothing else. Times of two machines do not compare; the last number says how fast the
machine itself was.

{table}

* *To {GOAL_DB}<!-- example --> dB* is Table I's training of BRADCN with seed 0 (stage 2, from
  fresh weights of the Render Net and the branches; the depth net and ADCN come trained), looked at
  every {EVERY} steps of {BATCH} pairs. It says how soon the schedule pays, not how far it gets.
* *The lens step* is `render_lens` with the depth given. Its goal is 5 seconds.
* *`make test`* is the time between two changes that can land; it should stay below 25 minutes.

Written by `python book/speed.py --page` from `data/results/speed.json`.
"""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--page", action="store_true", help="only write book/speed.md again")
    if not parser.parse_args().page:
        measure()
    write_atomically(PAGE, page().encode())
