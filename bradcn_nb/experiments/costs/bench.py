"""How fast the nets are, and what training takes: `python -m bradcn_nb bench`.

Programs are timed in turns, A B A B, so that whatever slows the machine meets all of them, and are
compared round by round: the ratio is the median over the rounds of ours / theirs, its spread the
quartiles. What is compared must give the same outputs, or do the same work, before it is timed.
fp32 on the CPU.

A share of the peak is a net's rate over that of this machine's own large matrix product with the
same threads, which takes its turn in every round, too. Work is 2 FLOPs per MAC of `summary`, which
counts convolutions as direct sums: what saves multiplications (Winograd's method) may exceed 100 %.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import torch

from bradcn_nb.errors import BradcnError
from bradcn_nb.experiments.costs import bench_loading, bench_nets
from bradcn_nb.experiments.costs.turns import Contest, cpu_name, derived, take_turns
from bradcn_nb.models import DepthNet, RenderNet


@contextmanager
def products(quick: bool) -> Iterator[Contest]:
    """Square matrix products of three sizes: the rate that nothing else reaches."""
    sizes = (1024,) if quick else (2048, 3072, 4096)
    yield Contest(
        {str(size): bench_nets.product(size) for size in sizes},
        macs={str(size): size**3 for size in sizes},
    )


BENCHMARKS: dict[str, Callable[[bool], AbstractContextManager[Contest]]] = {
    "peak": products,
    "render-net": partial(bench_nets.net_contest, RenderNet, (512, 768), "original"),
    "depth-net": partial(bench_nets.net_contest, DepthNet, (512, 768), "original"),
    "depth-net-384": partial(bench_nets.net_contest, DepthNet, (384, 384), "transformers"),
    "onnx": bench_nets.onnx_contest,
    "checkpointing": bench_nets.checkpointing,
    "loading": bench_loading.loading,
}


def run(
    names: Sequence[str],
    results: dict[str, Any],
    *,
    repeats: int = 7,
    quick: bool = False,
    progress: bool = True,
) -> None:
    """Run the benchmarks `names`, all of them if empty, and fill `results` as they go.

    An interruption leaves in `results` what was measured; `finished` derives the rest. `quick`: one
    round of small pictures and nets, which says whether all of it works and nothing about speed.
    Raises BradcnError for an unknown name, for outputs that differ, and for a training step that
    fails.
    """
    if unknown := set(names) - set(BENCHMARKS):
        raise BradcnError(
            f"unknown benchmark {', '.join(sorted(unknown))}: choose from {', '.join(BENCHMARKS)}"
        )
    results["machine"] = {
        "cpu": cpu_name(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "mode": "quick" if quick else "full",
    }
    for name in [name for name in BENCHMARKS if not names or name in names]:
        with BENCHMARKS[name](quick) as contest:
            record = results[name] = {
                "single": contest.single,
                "facts": contest.facts,
                "macs": contest.macs,
                "pictures": contest.pictures,
                "seconds": {program: [] for program in contest.programs},
                "cpu_seconds": {program: [] for program in contest.programs},
            }
            if not contest.single:
                for program in contest.programs.values():
                    program()  # warms up
            take_turns(
                contest.programs,
                1 if quick or contest.single else repeats,
                record["seconds"],
                cpu_seconds=record["cpu_seconds"],
                title=name,
                progress=progress,
            )


def finished(results: Mapping[str, Any]) -> dict[str, Any]:
    """Return `results` with `derived` values by program; what has not one whole round is left
    out."""
    whole = {"machine": results["machine"]}
    for name, record in results.items():
        if name != "machine" and all(record["cpu_seconds"].values()):
            timed = record["seconds"] and not record["single"]
            whole[name] = {**record, "derived": derived(record) if timed else {}}
    return whole


def as_text(whole: Mapping[str, Any]) -> str:
    """Return what `finished` made, for people."""
    machine = whole["machine"]
    lines = [f"{machine['cpu']}, {machine['threads']} threads, torch {machine['torch']}, fp32"]
    if machine["mode"] == "quick":
        lines.append("quick: small pictures, one round; these times say nothing about speed")
    for name, record in whole.items():
        if name == "machine":
            continue
        rounds = max(map(len, record["seconds"].values()), default=0)
        lines += ["", f"{name}, {rounds} round{'s' * (rounds != 1)} in turns"]
        lines += [f"  {fact}: {_short(value)}" for fact, value in record["facts"].items()]
        for program, values in record["derived"].items():
            each = " a picture" * (record["pictures"] > 1)
            line = f"  {program:13}{values['s']:9.4f} s{each}, {values['cpu_s']:.4f} of the CPU's"
            if "gflops" in values:
                line += f", {values['gflops']:.1f} GFLOP/s"
            if "share_of_peak" in values and program != "product":
                line += f" = {values['share_of_peak']:.1%} of the peak"
            lines.append(line)
        first = next(iter(record["seconds"]), "")
        for program, values in record["derived"].items():
            if "ours_over" in values and name != "peak":
                low, high = values["ours_over"]["quartiles"]
                lines.append(
                    f"  {first} / {program}: {values['ours_over']['median']:.3f} (quartiles "
                    f"{low:.3f} to {high:.3f}), the CPU's {values['ours_over_cpu']['median']:.3f}"
                )
    return "\n".join(lines)


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list):
        return " to ".join(map(_short, value))
    if isinstance(value, dict):
        return ", ".join(f"{key} {_short(inner)}" for key, inner in value.items())
    return str(value)
