"""What follows from the times that `bench` measured, as numbers and as text."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, Any]:
    """Return the median and the quartiles of ours / theirs over the rounds that both finished."""
    paired = [our / their for our, their in zip(ours, theirs, strict=False)]
    low, middle, high = np.quantile(paired, (0.25, 0.5, 0.75)).tolist()
    return {"median": middle, "quartiles": [low, high], "rounds": len(paired)}


def finished(results: Mapping[str, Any]) -> dict[str, Any]:
    """Return `results` with what follows from them; what has not one whole round is left out.

    "peak" gains `gflops`, the best of all runs; a net gains `median_s`, `ratio` (see `ratio`) and
    `rates`: GFLOP/s and the share of the peak, both medians over the rounds, where `work_of` says
    whose MACs were counted; "checkpointing" gains `ratio`, the peak memory with it over that
    without; "loading" gains `per_second`, pictures by program, and `ratio`, the time of opening and
    resizing over that of prepared files.
    """
    whole: dict[str, Any] = {}
    for name, record in results.items():
        runs = record.get("seconds", record.get("steps"))
        if runs is not None and not (runs and all(runs.values())):
            continue
        if name == "peak":
            derived = _rates_of_products(runs)
        elif "macs" in record:
            derived = _verdict(record)
        elif name == "loading":
            rates = {way: record["pictures"] / median(seconds) for way, seconds in runs.items()}
            derived = {"per_second": rates, "ratio": ratio(runs["lanczos"], runs["prepared"])}
        elif len(runs or ()) == 2:
            derived = {"ratio": runs["on"]["peak_bytes"] / runs["off"]["peak_bytes"]}
        else:
            derived = {}
        whole[name] = {**record, **derived}
    return whole


def _rates_of_products(seconds: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    rates = {size: 2 * int(size) ** 3 / min(runs) / 1e9 for size, runs in seconds.items()}
    return {"gflops": max(rates.values()), "gflops_by_size": rates}


def _verdict(record: Mapping[str, Any]) -> dict[str, Any]:
    seconds, other = record["seconds"], record["yardstick"]
    medians = {program: median(runs) for program, runs in seconds.items()}
    product_gflop = 2 * record["product_size"] ** 3 / 1e9
    rates = []
    for net, work_of in ((other, "original"), ("ours", "original"), ("ours", "ours")):
        gflop = 2 * record["macs"][work_of] / 1e9
        # The product's turn of the same round, since other work may come and go on the machine.
        slower = ratio(seconds[net], seconds["product"])["median"]
        share = gflop / product_gflop / slower
        gflops = gflop / medians[net]
        rates.append({"net": net, "work_of": work_of, "gflops": gflops, "share_of_peak": share})
    compared = ratio(seconds["ours"], seconds[other])
    return {
        "median_s": medians,
        "ratio": compared,
        "rates": rates,
        "product_gflops": product_gflop / medians["product"],
    }


def as_text(whole: Mapping[str, Any]) -> str:
    """Return what `finished` made, for people."""
    machine = whole["machine"]
    lines = [f"{machine['cpu']}, {machine['threads']} threads, torch {machine['torch']}, fp32"]
    if machine["mode"] == "quick":
        lines.append("quick: small pictures, one round; these times say nothing about speed")
    for name, record in whole.items():
        if "skipped" in record:
            lines += ["", f"{name}: skipped, {record['skipped']}"]
        elif name == "peak":
            sizes = ", ".join(f"{n}: {rate:.0f}" for n, rate in record["gflops_by_size"].items())
            lines += ["", f"peak: {record['gflops']:.1f} GFLOP/s, best matrix product ({sizes})"]
        elif "macs" in record:
            lines += ["", *_net_lines(name, record)]
        elif "steps" in record:
            lines += ["", *_step_lines(name, record)]
        elif "per_second" in record:
            lines += ["", *_loading_lines(name, record)]
        elif record.get("text"):
            lines += ["", f"{name}:", *record["text"]]
    return "\n".join(lines)


def _net_lines(name: str, record: Mapping[str, Any]) -> list[str]:
    (height, width), compared, other = record["size"], record["ratio"], record["yardstick"]
    low, high = compared["quartiles"]
    rounds = f"{compared['rounds']} round{'s' * (compared['rounds'] > 1)}"
    lines = [
        f"{name}: {width}x{height} pixels (width x height), {rounds} in turns",
        *(f"  {net:14}{record['median_s'][net]:8.3f} s" for net in ("ours", other)),
        f"  ours / {other}: {compared['median']:.3f} (quartiles {low:.3f} to {high:.3f})",
    ]
    if "difference" in record:
        lines.append(f"  outputs differ by at most {record['difference']:.1e} of their spread")
    lines.append(
        f"  {'product':14}{record['product_gflops']:8.1f} GFLOP/s, matrices of "
        f"{record['product_size']}x{record['product_size']}, in the same rounds: the peak"
    )
    for rate in record["rates"]:
        work_of = "its own" if rate["work_of"] == rate["net"] else f"the {rate['work_of']}'s"
        lines.append(
            f"  {rate['net']:14}{rate['gflops']:8.1f} GFLOP/s = {rate['share_of_peak']:.1%} of the "
            f"peak, counting {work_of} {record['macs'][rate['work_of']] / 1e9:.1f} GMACs"
        )
    return lines


def _step_lines(name: str, record: Mapping[str, Any]) -> list[str]:
    lines = [f"{name}: one training step of preset {record['preset']}, each in its own process"]
    lines += [
        f"  {mode:4}{step['peak_bytes'] / 1e9:8.2f} GB peak{step['seconds']:8.1f} s"
        for mode, step in record["steps"].items()
    ]
    if "ratio" in record:
        lines.append(f"  peak memory, on / off: {record['ratio']:.2f}")
    return lines


def _loading_lines(name: str, record: Mapping[str, Any]) -> list[str]:
    (height, width), compared, (worst, best) = record["size"], record["ratio"], record["psnr"]
    low, high = compared["quartiles"]
    ways = {
        "prepared": ("prepared files", "prepared"),
        "originals": ("originals, our reader", "originals"),
        "lanczos": ("originals, Pillow's Lanczos", "originals"),
    }
    rounds = f"{compared['rounds']} round{'s' * (compared['rounds'] > 1)}"
    lines = [f"{name}: {width}x{height} pixels, {rounds} in turns, one thread"]
    for way, (words, files) in ways.items():
        rate, size = record["per_second"][way], record["kilobytes"][files]
        lines.append(f"  {words:28}{rate:7.1f} pictures/s of {size:.0f} kB each")
    return lines + [
        f"  prepared files / Lanczos: {compared['median']:.2f} times the pictures/s "
        f"(quartiles {low:.2f} to {high:.2f})",
        f"  prepared pictures beside the exact resize: PSNR {worst:.1f} to {best:.1f} dB",
    ]
