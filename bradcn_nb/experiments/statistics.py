"""Is one arm better than another? Paired over the pictures and the seeds."""

import numpy as np

from bradcn_nb.metrics import Interval

DRAWS = 10_000


def crossed_interval(a: np.ndarray, b: np.ndarray, seed: int = 0) -> Interval:
    """Mean of a - b and its 95 % interval, where seeds and pictures are both drawn with replacement.

    `a` and `b` are (seeds, pictures), in the same order: the trainings with seed s of two arms start
    from the same weights and see the same order of pictures, and all are judged on the same pictures.
    An interval over the pictures of one training would forget that another seed gives another net.
    With few seeds such an interval is somewhat too narrow. Source: Owen 2007, "The pigeonhole
    bootstrap". Raises ValueError unless both have one shape (seeds, pictures) and finite values.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.ndim != 2 or a.shape != b.shape or a.size == 0:
        raise ValueError(
            f"need two arrays (seeds, pictures) of one shape, not {a.shape}, {b.shape}"
        )
    difference = a - b
    if not np.isfinite(difference).all():
        raise ValueError("values must be finite; cap the PSNR of identical pictures first")
    rng = np.random.default_rng(seed)
    seeds, pictures = a.shape
    # How often each seed and each picture is drawn; the weighted mean is then one product.
    rows = rng.multinomial(seeds, np.full(seeds, 1 / seeds), DRAWS)
    columns = rng.multinomial(pictures, np.full(pictures, 1 / pictures), DRAWS)
    means = np.einsum("ds,sp,dp->d", rows, difference, columns, optimize=True) / a.size
    low, high = np.percentile(means, (2.5, 97.5))
    return Interval(float(difference.mean()), float(low), float(high))
