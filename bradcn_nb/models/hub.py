"""What every net can do as a whole: know its configuration, be saved to a folder or a hub, be
read."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import torch
from huggingface_hub import ModelCard, ModelHubMixin, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors.torch import load_file
from torch import nn

from bradcn_nb.errors import WeightsError
from bradcn_nb.files import data_root, write_atomically
from bradcn_nb.models.weights import load_weights, model_config, read_metadata, save_weights
from bradcn_nb.presets import ModelConfig, preset_of

FILE = "model.safetensors"


CARD = """---
{{ card_data }}
---

# A net of BRADCN

From *Bokeh Rendering Based on Adaptive Depth Calibration Network* (Liu, Zhou and Dong, 2023), built
and saved by the package `bradcn_nb`. `config.json` says which of the nets it is and how it is
built:

    from bradcn_nb.models import BRADCN  # or RenderNet, DepthNet, ADCN
    net = BRADCN.from_pretrained("NAME OF THIS REPOSITORY, OR A FOLDER")

Whoever trained it has to say here on what, what it scores (`python -m bradcn_nb score`) beside its
input and one Gaussian blur, and what it must not be used for.
"""


def is_bundled(net: nn.Module, folder: Path) -> bool:
    """Whether the weights of `net` are, number by number, those of a file in `folder`."""
    own = net.state_dict()
    for path in folder.glob("*.safetensors"):
        if read_metadata(path)["net"] != type(net).__name__:
            continue
        stored = load_file(path)
        if own.keys() == stored.keys() and all(
            torch.equal(stored[name].to(weight), weight) for name, weight in own.items()
        ):
            return True
    return False


class HubNet(nn.Module, ModelHubMixin, library_name="bradcn_nb", model_card_template=CARD):
    """A net with its configuration `cfg`, and the Hugging Face hub's three methods.

    `save_pretrained(folder)` writes `model.safetensors` (weights; preset and configuration in its
    metadata), `config.json` (the same for people) and a model card. `from_pretrained(folder)`, or
    the name of a repository on the hub, builds the net that the file describes and fills it; it
    raises WeightsError for a missing or foreign file. `push_to_hub(repository)` uploads what
    `save_pretrained` writes. Source of the design: Hugging Face's ModelHubMixin.
    """

    config: type[ModelConfig] = ModelConfig  # the class of `cfg`

    def __init__(self, cfg: ModelConfig):
        super().__init__()
        self.cfg = cfg

    def generate_model_card(self, *args: Any, **options: Any) -> ModelCard:
        """Return the card that goes to the hub: the bundled weights' own for those weights."""
        bundled = data_root() / "weights"
        if is_bundled(self, bundled):
            return ModelCard((bundled / "README.md").read_text("utf-8"))  # by `experiments cards`
        return super().generate_model_card(*args, **options)

    def _save_pretrained(self, save_directory: Path) -> None:
        name = preset_of(self.cfg)
        save_weights(self, save_directory / FILE, name)
        config = {"net": type(self).__name__, "preset": name, "model": asdict(self.cfg)}
        text = json.dumps(config, indent=2) + "\n"
        write_atomically(save_directory / "config.json", text.encode())

    @classmethod
    def from_pretrained(cls, name: str | Path, **options: Any) -> Self:
        """Return the net in a folder, or in the repository `name` of the hub, ready for use (eval
        mode).

        `options`: those of `huggingface_hub.hf_hub_download`, such as `revision` and `token`.
        Raises WeightsError when there is none, or it is another net's.
        """
        try:
            return super().from_pretrained(name, **options)
        except (HfHubHTTPError, LocalEntryNotFoundError, HFValidationError) as error:
            raise WeightsError(
                f"{name}: no such folder, and the hub gives no {FILE} of that name "
                f"({type(error).__name__}); check the name and the network"
            ) from None

    @classmethod
    def _from_pretrained(cls, *, model_id: str, **options: Any) -> Self:
        local = Path(model_id)
        path = local / FILE if local.is_dir() else hf_hub_download(model_id, FILE, **options)
        about = read_metadata(path)
        net = cls(model_config(about, path, cls.config))
        load_weights(path, net, about["preset"])
        return net.eval()
