"""A preset with some of its numbers changed: `train --set seed=1 data.sun_counts=250,50`."""

from collections.abc import Iterable
from dataclasses import fields, replace
from math import isfinite
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin

from bradcn_nb.data.splits import SCHEMES
from bradcn_nb.errors import BradcnError
from bradcn_nb.presets import PRECISIONS, Preset
from bradcn_nb.training.steps import SCHEDULES

FIXED = "name net data given frozen ebb sun".split()  # what a part is, not how it is done
CHOICES = {"precision": PRECISIONS, "schedule": tuple(SCHEDULES), "sun_split": SCHEMES}
WORDS = {int: "a whole number", float: "a number", str: "a name", NoneType: "none"}
Part = TypeVar("Part")  # a frozen dataclass of a preset


def with_settings(preset: Preset, settings: Iterable[str]) -> Preset:
    """Return `preset` with the values that "NAME=VALUE" strings give it.

    NAME is one of `setting_types`. VALUE is read as the type that is there: a tuple's values are
    joined by commas, None is "none". Raises BradcnError, which lists what exists, for another name,
    and for a value of another type or out of range.
    """
    known, values = setting_types(preset), {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise BradcnError(f"--set {setting}: is not NAME=VALUE, for example stage2a.lr=1e-5")
        if name not in known:
            raise BradcnError(f"--set {name}: no such setting; choose from {', '.join(known)}")
        choices = CHOICES.get(name.rpartition(".")[2], (text,))
        if text not in choices:
            raise BradcnError(f"--set {setting}: choose one of {', '.join(choices)}")
        try:
            values[name] = _parsed(text, known[name])
        except ValueError:
            kind = _described(known[name])
            raise BradcnError(f"--set {setting}: {text!r} is not {kind}") from None

    def changed(place: str, part: Part) -> Part:
        names = (field.name for field in fields(part))
        return replace(
            part, **{n: values[f"{place}.{n}"] for n in names if f"{place}.{n}" in values}
        )

    return replace(
        preset,
        seed=values.get("seed", preset.seed),
        recipe=changed("recipe", preset.recipe),
        data=changed("data", preset.data),
        stages=tuple(changed(stage.name, stage) for stage in preset.stages),
    )


def setting_types(preset: Preset) -> dict[str, Any]:
    """Return what can be set, and its type: `seed`, fields of recipe, data and each stage."""
    parts = {"recipe": preset.recipe, "data": preset.data}
    parts |= {stage.name: stage for stage in preset.stages}
    return {"seed": int} | {
        f"{place}.{field.name}": field.type
        for place, part in parts.items()
        for field in fields(part)
        if field.name not in FIXED
    }


def _parsed(text: str, kind: Any) -> Any:
    """Read `text` as a value of the type `kind`; raises ValueError where it is none."""
    if get_origin(kind) is UnionType:
        other = next(one for one in get_args(kind) if one is not NoneType)
        return None if text == "none" else _parsed(text, other)
    if get_origin(kind) is tuple:
        pairs = zip(text.split(","), get_args(kind), strict=True)
        return tuple(_parsed(part, one) for part, one in pairs)
    if kind is float and not isfinite(float(text)):
        raise ValueError
    return kind(text)


def _described(kind: Any) -> str:
    if get_origin(kind) is UnionType:
        return " or ".join(_described(one) for one in get_args(kind))
    if get_origin(kind) is tuple:
        return (
            f"{len(get_args(kind))} values joined by commas, each {_described(get_args(kind)[0])}"
        )
    return WORDS[kind]
