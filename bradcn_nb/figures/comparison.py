"""Every method beside one that the reader chooses: differences with intervals."""

from collections.abc import Mapping
from html import escape
from itertools import combinations
from typing import Any

from IPython.display import HTML

from bradcn_nb.evaluation.intervals import comparisons
from bradcn_nb.figures.page import Markup, page

# Metric -> its name, its digits on the page, and whether higher is better.
METRICS = {"psnr": ("PSNR, dB", 3, True), "ssim": ("SSIM", 4, True), "lpips": ("LPIPS", 4, False)}


def comparison_viewer(
    records: Mapping[str, Mapping[str, Any]], titles: Mapping[str, str], reference: str
) -> HTML:
    """Show each arm's paired difference to a chosen arm, with its 95 % interval, metric by metric.

    `records`: those of a table's NAME-images.json, by "ARM/SEED". `titles`: an arm's name -> its
    row's title, in the order of the rows; arms without records have no row. `reference`: the arm
    that is chosen first, if it has records. The intervals are those of
    `evaluation.intervals.crossed_interval`, over seeds and pictures; two arms with fewer than two
    seeds in common have none, and the row says so. Raises ValueError for fewer than two arms, and
    unless all records are of the same pictures.
    """
    trained = {record["arm"] for record in records.values()}
    arms = [arm for arm in titles if arm in trained]
    if len(arms) < 2:
        raise ValueError(f"a comparison needs two arms with records, not {arms}")
    compared = comparisons(records, combinations(arms, 2), tuple(METRICS))
    data = {
        "titles": [titles[arm] for arm in arms],
        "metrics": [list(about) for about in METRICS.values()],
        "pictures": len(next(iter(records.values()))["id"]),
        # "i-j": how many seeds, then (mean, low, high) of i - j for each metric
        "pairs": {
            f"{arms.index(a)}-{arms.index(b)}": [
                len(seeds),
                *([round(end, 6) for end in intervals[metric]] for metric in METRICS),
            ]
            for (a, b), (seeds, intervals) in compared.items()
        },
    }
    chosen = arms.index(reference) if reference in arms else 0
    references = (
        f'<option value="{n}"{" selected" * (n == chosen)}>{escape(titles[arm])}</option>'
        for n, arm in enumerate(arms)
    )
    metrics = (
        f'<option value="{n}">{escape(name)}</option>'
        for n, (name, *_) in enumerate(METRICS.values())
    )
    return page(
        "comparison",
        data,
        references=Markup("".join(references)),
        metrics=Markup("".join(metrics)),
    )
