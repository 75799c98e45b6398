"""Every size, rate and count of the project, once: the presets `mini`, `colab` and `paper`.

A preset is plain frozen data. The same classes are built from all three; what differs is written
here and nowhere else. Numbers that the paper gives carry the name of the section that gives them.
"""

from dataclasses import dataclass, replace

from bradcn_nb.errors import BradcnError


@dataclass(frozen=True)
class ModelConfig:
    """Widths, depths and strides of the three nets; heights and widths are in pixels.

    The encoder (Section III-A; DPT-Hybrid) is a ResNet whose last map becomes the tokens of a ViT.
    Two of its four taps are ResNet stages, two are ViT blocks; `strides` are those of the four
    taps.
    """

    image_size: tuple[int, int]  # (height, width) of training
    strides: tuple[int, int, int, int]  # of the four encoder maps, fine to coarse
    pos_grid: tuple[int, int]  # tokens (rows, columns) of the stored position embedding
    stem_width: int
    stage_layers: tuple[int, int, int]  # bottleneck blocks per ResNet stage
    stage_widths: tuple[int, int, int]
    norm_groups: int  # of the ResNet's group norms; divides every width they see
    embed_dim: int  # of a ViT token
    vit_depth: int
    vit_heads: int
    vit_taps: tuple[int, int]  # indices of the ViT blocks that are tapped
    features: int  # channels of every map that enters the decoder
    head_widths: tuple[int, int]  # channels after the head's first and second 3x3 convolution
    head_upsample: bool  # x2 inside the head, because the decoder ends at half the input's size
    skip: bool  # the net mixes its input into the result, ledger id "mini-skip"
    depth_scale: float  # depth = 1 / max(depth_scale * x + depth_shift, 1e-8), metres
    depth_shift: float
    adcn_widths: tuple[int, ...]  # of the U-Net's levels, fine to coarse
    depth_kind: str = "metric"  # "relative": MiDaS weights, inverse depth without a unit

    @property
    def stride(self) -> int:
        """What height and width of every input must be a multiple of."""
        return self.strides[-1]

    @property
    def tokens(self) -> int:
        """How many tokens the stored position embedding is for, the class token included."""
        return 1 + self.pos_grid[0] * self.pos_grid[1]


@dataclass(frozen=True)
class DataConfig:
    """Which data sets a preset trains on, and at which size."""

    ebb: str | None  # name of the bundled set; None: the user names a folder
    sun: str | None
    train_size: tuple[int, int]  # (height, width); predictions are tested after bilinear x2
    truth_scale: int  # stage 2's loss compares after bilinear enlargement by this, "mini-truth"
    sun_counts: tuple[int, int]  # (train, test) frames drawn from SUN RGB-D
    clip_m: float  # depths beyond this many metres are clipped
    sun_split: str = "random"  # as Section IV-A; "scene": no place in both sets, ledger "sun-leak"
    # What is scored after each epoch is neither trained nor tested on, ledger "check-items": a
    # bundled set, or None: the last items of the training set, which are not trained on then.
    check: str | None = "mini-check"
    check_items: int = 16


@dataclass(frozen=True)
class Stage:
    """One part of the schedule: which net learns what, for how long."""

    name: str
    net: str  # "depth" | "adcn" | "bradcn" | the name of a baseline
    # "scenes" | "sun" | "labels" | "ebb" | "pairs", EBB!'s defocus
    data: str
    epochs: int
    lr: float
    batch: int  # items that one process computes at once
    l1: float = 1.0  # weight of the L1 loss
    ms_ssim: float = 0.0  # weight of 1 - MS-SSIM, ledger id "loss-weights"
    samples_per_epoch: int | None = None  # None: the whole data set
    frozen: tuple[str, ...] = ()  # parts of the net that keep their weights
    schedule: str = "constant"  # or "cosine", see `training.steps.SCHEDULES`
    # Do, De (and defocus) of `data.maps`; None: predicted, or not used
    given: tuple[str | None, ...] = (None, None)

    @property
    def calibrates(self) -> bool:
        """Whether only the ADCN learns, beside the rest of the model."""
        return self.net == "bradcn" and set(ALL_BUT_ADCN) <= set(self.frozen)


ALL_BUT_ADCN = ("render_net", "depth_net", "depth_branch", "error_branch")  # parts of BRADCN


PRECISIONS = ("fp32", "bf16", "fp16")


def require(sound: bool, name: str, value: object, wanted: str = "above 0") -> None:
    """Raise BradcnError, which says what `name` is and what is `wanted`, unless it is `sound`."""
    if not sound:
        raise BradcnError(f"{name} is {value}: it must be {wanted}")


@dataclass(frozen=True)
class Recipe:
    """How a step is computed, in every stage; each field changes the weights.

    A step is one move of the optimiser. Its loss is the mean over processes *
    `accumulate` * `Stage.batch` items, as if they were one batch. What changes
    time or memory alone, such as activation checkpointing, is no part of it.
    Raises BradcnError for a value out of range.
    """

    precision: str = "fp32"  # of the forward pass; "fp16" needs a GPU
    accumulate: int = 1  # batches of each process in a step
    clip: float | None = None  # cuts the gradient's norm to this
    ema: float | None = None  # decay of a running mean of the weights

    def __post_init__(self) -> None:
        known = self.precision in PRECISIONS
        require(known, "precision", self.precision, f"in {PRECISIONS}")
        require(self.accumulate > 0, "accumulate", self.accumulate)
        require(self.clip is None or self.clip > 0, "clip", self.clip)
        if self.ema is not None:
            require(0 < self.ema < 1, "ema", self.ema, "between 0 and 1")


@dataclass(frozen=True)
class Preset:
    """A model, its data and the schedule that trains it."""

    name: str
    model: ModelConfig
    data: DataConfig
    stages: tuple[Stage, ...]
    seed: int = 0
    recipe: Recipe = Recipe()

    def __post_init__(self) -> None:
        data, stride = self.data, self.model.stride
        require(self.seed >= 0, "seed", self.seed, "0 or more")
        fits = all(side > 0 and side % stride == 0 for side in data.train_size)
        require(fits, "data.train_size", data.train_size, f"multiples of {stride}")
        for name in ("sun_counts", "clip_m", "truth_scale"):
            value = getattr(data, name)
            lowest = min(value) if isinstance(value, tuple) else value
            require(lowest > 0, f"data.{name}", value)
        require(data.check_items >= 0, "data.check_items", data.check_items, "0 or more")
        for stage in self.stages:
            _check_stage(stage)

    def stage(self, name: str) -> Stage:
        """Return the stage called `name`; raises BradcnError naming the stages that exist."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        names = ", ".join(stage.name for stage in self.stages)
        raise BradcnError(f"preset {self.name!r} has no stage {name!r}: choose one of {names}")


def _check_stage(stage: Stage) -> None:
    for name in ("epochs", "lr", "batch", "samples_per_epoch"):
        value = getattr(stage, name)
        optional = name == "samples_per_epoch" and stage.data != "scenes"
        require(optional if value is None else value > 0, f"{stage.name}.{name}", value)
    weights = (stage.l1, stage.ms_ssim)
    require(min(weights) >= 0 < max(weights), f"{stage.name}: l1, ms_ssim", weights, "a loss")
    if stage.ms_ssim and stage.data != "ebb":  # its windows would mix what a mask separates
        raise BradcnError(f"{stage.name}.ms_ssim is {stage.ms_ssim}: it compares pictures only")


_FULL_MODEL = ModelConfig(
    image_size=(512, 768),  # Section IV-F: "the input resolution of the images is set to 768x512"
    strides=(4, 8, 16, 32),
    pos_grid=(24, 24),  # vit_base_r50_s16_384 was trained on 384x384
    stem_width=64,
    stage_layers=(3, 4, 9),
    stage_widths=(256, 512, 1024),
    norm_groups=32,
    embed_dim=768,
    vit_depth=12,
    vit_heads=12,
    vit_taps=(8, 11),
    features=256,
    head_widths=(128, 32),
    head_upsample=True,
    skip=False,  # official weights were trained without it
    depth_scale=0.000305,  # of the official NYUv2 checkpoint
    depth_shift=0.1378,
    adcn_widths=(64, 128, 256, 512, 1024),  # Section III-C: "based on U-Net"
)

_MINI_MODEL = ModelConfig(
    image_size=(64, 96),
    strides=(2, 4, 8, 16),  # a first tap at /4 loses too much of 64 rows, ledger "mini-strides"
    pos_grid=(8, 12),
    stem_width=16,
    stage_layers=(1, 1, 2),
    stage_widths=(32, 64, 256),
    norm_groups=4,
    embed_dim=128,
    vit_depth=4,
    vit_heads=4,
    vit_taps=(1, 3),
    features=32,
    head_widths=(16, 16),
    head_upsample=False,
    skip=True,
    depth_scale=1.0,
    depth_shift=0.1378,
    adcn_widths=(8, 16, 32, 96, 288),
)

# Sections IV-B and IV-F. Adam, its betas and the losses' weights are in the ledger.
PAPER_STAGES = (
    Stage("stage1", "adcn", "labels", epochs=50, lr=1e-4, batch=1),
    Stage("stage2a", "bradcn", "ebb", epochs=30, lr=5e-5, batch=1, frozen=("adcn",)),
    Stage("stage2b", "bradcn", "ebb", epochs=30, lr=5e-5, batch=1, ms_ssim=1.0, frozen=("adcn",)),
)

# Stage 0 stands in for the pretrained DPT, which has no such size (ledger "stage0").
MINI_STAGES = (
    Stage("stage0", "depth", "scenes", 16, 5e-4, 8, samples_per_epoch=2000, schedule="cosine"),
    Stage("stage1", "adcn", "labels", 30, 5e-4, 4, schedule="cosine"),
    Stage("stage2a", "bradcn", "ebb", 12, 5e-4, 4, frozen=("adcn",), schedule="cosine"),
    Stage("stage2b", "bradcn", "ebb", 4, 2.5e-4, 4, 1.0, 1.0, frozen=("adcn",), schedule="cosine"),
)

PRESETS: dict[str, Preset] = {
    "mini": Preset(
        name="mini",
        model=_MINI_MODEL,
        data=DataConfig("mini-ebb", "mini-sun", (64, 96), 2, sun_counts=(300, 60), clip_m=8.0),
        stages=MINI_STAGES,
    ),
    "colab": Preset(
        name="colab",
        model=_FULL_MODEL,
        data=DataConfig(None, None, (256, 384), 1, sun_counts=(6545, 700), clip_m=8.0, check=None),
        stages=PAPER_STAGES,
    ),
    "paper": Preset(
        name="paper",
        model=_FULL_MODEL,
        data=DataConfig(
            ebb=None,
            sun=None,
            train_size=(512, 768),  # Section IV-F
            truth_scale=1,  # Section IV-F: the pairs are resized alike
            sun_counts=(6545, 700),  # Section IV-A
            clip_m=8.0,  # SUN RGB-D's own toolbox clips there
            check=None,
        ),
        stages=PAPER_STAGES,
    ),
}


def preset_of(cfg: ModelConfig) -> str:
    """Return which preset has this model, whichever kind its depth is, or "custom"."""
    cfg = replace(cfg, depth_kind="metric")
    # From the back: `colab` has the model of `paper`.
    return next((name for name, known in reversed(PRESETS.items()) if known.model == cfg), "custom")


def preset(name: str) -> Preset:
    """Return the preset called `name`; raises BradcnError listing the names that exist."""
    if name not in PRESETS:
        raise BradcnError(f"unknown preset {name!r}: choose one of {', '.join(PRESETS)}")
    return PRESETS[name]
