"""Cards for the hub, Croissant and Zenodo: as the results are, valid, and carried along."""

import json
from pathlib import Path

import mlcroissant
import pytest
import torch
from huggingface_hub import ModelCard

from bradcn_nb.experiments.cards import SETS, cards
from bradcn_nb.models import load_bradcn, load_depth_net

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("name, text", cards().items())
def test_a_card_is_what_the_results_say(name, text):
    assert (ROOT / name).read_text("utf-8") == text, "run `bradcn experiments cards`"
    assert "nan" not in text.split()


def test_croissant_is_valid_and_gives_the_pictures():
    for name, size in (("mini-ebb-bokeh", (192, 128)), ("mini-sun-depth", (128, 96))):
        # Raises for errors; a second iteration over one of its objects fails.
        dataset = mlcroissant.Dataset(jsonld=ROOT / "data" / "croissant.json")
        record = next(iter(dataset.records(f"{name}-records")))
        assert record[f"{name}-records/picture"].size == size
    included = [glob for part in dataset.metadata.file_sets for glob in part.includes]
    for glob in included:
        assert any((ROOT / "data").glob(glob)), glob
    assert {glob.split("/")[0] for glob in included} < set(SETS)


def test_the_hub_gets_the_numbers_of_the_bundled_weights_and_of_no_others(tmp_path):
    card = (ROOT / "data" / "weights" / "README.md").read_text("utf-8")
    for kind, net in (("bradcn", load_bradcn()), ("depth", load_depth_net())):
        net.save_pretrained(tmp_path / kind)
        kept = (tmp_path / kind / "README.md").read_text("utf-8")
        assert kept.endswith(card.partition("# The bundled")[2])  # YAML is written anew
    assert ModelCard(card).data.license == "mit"
    with torch.no_grad():
        next(net.parameters()).add_(1e-3)
    net.save_pretrained(tmp_path / "own")
    kept = (tmp_path / "own" / "README.md").read_text("utf-8")
    assert "dB" not in kept and "must not be used for" in kept


def test_the_code_of_the_weights_card_runs():
    card = (ROOT / "data" / "weights" / "README.md").read_text("utf-8")
    code = "\n".join(line[4:] for line in card.splitlines() if line.startswith("    "))
    names = {"image": torch.rand(1, 3, 64, 96)}
    exec(code, names)
    assert names["bokeh"].shape == (1, 3, 64, 96) and names["depth"].shape == (1, 1, 64, 96)


def test_zenodo_names_the_row_that_hurts():
    said = json.loads((ROOT / ".zenodo.json").read_text("utf-8"))
    assert "less than one Gaussian" in said["description"] and said["creators"]
    assert said["license"] == "MIT" and said["upload_type"] == "software"
