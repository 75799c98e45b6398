"""A preset with some of its numbers changed: `train --set stage2a.lr=1e-5
data.sun_counts=250,50`."""

from collections.abc import Iterable
from dataclasses import fields, is_dataclass, replace
from math import isfinite
from types import UnionType
from typing import Any, get_args, get_origin

from bradcn_nb.data.splits import SCHEMES
from bradcn_nb.errors import BradcnError
from bradcn_nb.presets import DataConfig, Preset, Stage
from bradcn_nb.training.steps import SCHEDULES

# What a stage is, not how it is done; which data, for which there are --ebb and --sun.
FIXED = {Stage: ("name", "net", "data", "given", "frozen"), DataConfig: ("ebb", "sun")}
CHOICES = {"schedule": tuple(SCHEDULES), "sun_split": SCHEMES}
FROM_ZERO = ("seed", "check_items", "l1", "ms_ssim", "depth_shift")  # others start above 0


def apply(preset: Preset, assignments: Iterable[str]) -> Preset:
    """Return `preset` with the numbers that "NAME=VALUE" strings give it.

    NAME is `seed`, `recipe.X`, `data.X`, `model.X`, or `STAGE.X` with a stage's name; VALUE is read
    as the type that the field has, a tuple's parts joined by commas. Raises BradcnError, which
    lists what exists, for another name, and for a value of another type or out of range.
    """
    for text in assignments:
        name, equals, value = text.partition("=")
        if not equals:
            raise BradcnError(f"--set {text}: is not NAME=VALUE, for example stage2a.lr=1e-5")
        preset = _changed(preset, name, value)
    height, width = preset.data.train_size
    if height % preset.model.stride or width % preset.model.stride:
        raise BradcnError(
            f"data.train_size={height},{width}: both must be multiples of {preset.model.stride}"
        )
    return preset


def names_of(preset: Preset) -> list[str]:
    """Return every NAME that `apply` takes for this preset."""
    parts = {"recipe": preset.recipe, "data": preset.data, "model": preset.model}
    parts |= {stage.name: stage for stage in preset.stages}
    below = [f"{part}.{name}" for part, value in parts.items() for name in _free(value)]
    return ["seed", *below]


def _free(part: Any) -> list[str]:
    fixed = FIXED.get(type(part), ())
    return [field.name for field in fields(part) if field.name not in fixed]


def _changed(preset: Preset, name: str, text: str) -> Preset:
    if name not in names_of(preset):
        raise BradcnError(
            f"--set {name}: no such number; choose from {', '.join(names_of(preset))}"
        )
    place, _, field = name.rpartition(".")
    if not place:
        return replace(preset, seed=_read(name, "seed", text, int))
    if place in ("recipe", "data", "model"):
        return replace(preset, **{place: _with(getattr(preset, place), name, field, text)})
    stages = (_with(s, name, field, text) if s.name == place else s for s in preset.stages)
    return replace(preset, stages=tuple(stages))


def _with(part: Any, name: str, field: str, text: str) -> Any:
    assert is_dataclass(part)
    kind = next(f.type for f in fields(part) if f.name == field)
    return replace(part, **{field: _read(name, field, text, kind)})


def _read(name: str, field: str, text: str, kind: Any) -> Any:
    """Read `text` as the type `kind` of a dataclass's field; raises BradcnError where it is not."""
    try:
        value = _parsed(text, kind)
    except ValueError:
        raise BradcnError(f"--set {name}={text}: {text!r} is not {_described(kind)}") from None
    if field in CHOICES and value not in CHOICES[field]:
        raise BradcnError(f"--set {name}={text}: choose one of {', '.join(CHOICES[field])}")
    for number in value if isinstance(value, tuple) else (value,):
        if isinstance(number, int | float) and not isinstance(number, bool):
            if number < 0 or (number == 0 and field not in FROM_ZERO):
                raise BradcnError(f"--set {name}={text}: must be above 0")
    return value


def _parsed(text: str, kind: Any) -> Any:
    if get_origin(kind) is UnionType:
        if text == "none" and type(None) in get_args(kind):
            return None
        return _parsed(text, next(k for k in get_args(kind) if k is not type(None)))
    if get_origin(kind) is tuple:
        parts, kinds = text.split(","), get_args(kind)
        if kinds[-1] is ...:
            kinds = (kinds[0],) * len(parts)
        return tuple(_parsed(part, k) for part, k in zip(parts, kinds, strict=True))
    if kind is bool:
        if text not in ("true", "false"):
            raise ValueError(text)
        return text == "true"
    if kind is float and not isfinite(float(text)):
        raise ValueError(text)
    return kind(text)


def _described(kind: Any) -> str:
    if get_origin(kind) is UnionType:
        return " or ".join(_described(k) for k in get_args(kind))
    if get_origin(kind) is tuple:
        kinds = get_args(kind)
        number = "some" if kinds[-1] is ... else str(len(kinds))
        return f"{number} of {_described(kinds[0])}, joined by commas"
    words = {int: "a whole number", float: "a number", bool: "true or false", type(None): "none"}
    return words.get(kind, "a name")
