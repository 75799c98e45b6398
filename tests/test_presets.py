"""The presets say what the paper says, and fit together."""

import dataclasses

import pytest

from bradcn_nb.errors import BradcnError, DataError
from bradcn_nb.files import data_root
from bradcn_nb.presets import PRESETS, preset


def test_unknown_preset_lists_the_names():
    with pytest.raises(BradcnError, match="mini, colab, paper"):
        preset("tiny")


def test_unknown_stage_lists_the_names():
    with pytest.raises(BradcnError, match="stage1, stage2a, stage2b"):
        preset("paper").stage("stage9")


def test_presets_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        preset("mini").model.features = 1


def test_paper_schedule_is_that_of_section_iv():
    stage1, l1_only, both = preset("paper").stages
    assert (stage1.net, stage1.epochs, stage1.lr, stage1.ms_ssim) == ("adcn", 50, 1e-4, 0)
    assert (l1_only.net, l1_only.epochs, l1_only.lr, l1_only.ms_ssim) == ("bradcn", 30, 5e-5, 0)
    assert (both.epochs, both.lr, both.l1, both.ms_ssim) == (30, 5e-5, 1, 1)
    assert {stage.batch for stage in preset("paper").stages} == {1}
    assert preset("paper").data.train_size == (512, 768)
    assert preset("paper").data.sun_counts == (6545, 700)


def test_stage0_exists_for_mini_only():
    assert [name for name, p in PRESETS.items() if p.stages[0].name == "stage0"] == ["mini"]


@pytest.mark.parametrize("name", PRESETS)
def test_sizes_and_widths_fit_together(name):
    model, data = preset(name).model, preset(name).data
    assert model.stride == model.strides[3]
    for height_or_width in (*model.image_size, *data.train_size):
        assert height_or_width % model.stride == 0
    assert model.embed_dim % model.vit_heads == 0
    assert max(model.vit_taps) == model.vit_depth - 1  # later blocks would never get a gradient
    for width in (model.stem_width, *model.stage_widths, *(w // 4 for w in model.stage_widths)):
        assert width % model.norm_groups == 0
    assert model.stride % 2 ** (len(model.adcn_widths) - 1) == 0


def test_data_root_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("BRADCN_DATA", str(tmp_path))
    assert data_root() == tmp_path
    monkeypatch.setenv("BRADCN_DATA", str(tmp_path / "missing"))
    with pytest.raises(DataError, match="BRADCN_DATA"):
        data_root()
