"""What the page "Your photograph" loads: the nets and their runtime, as scripts.

A page that was opened from disk may neither fetch nor import a file. A classic script it may load;
so everything binary becomes one, gzipped and in base64. `make html` runs this; it writes
book/_static/browser/generated, which is not committed, and does nothing where that is up to date.

onnxruntime-web 1.30.0 (MIT) is in book/vendor/onnxruntime, its machine code gzipped.
"""

import base64
import gzip
import json
import tempfile
from pathlib import Path

import cv2
from sklearn.datasets import load_sample_image

from bradcn_nb.experiments.record import weights_path
from bradcn_nb.files import file_digest, write_atomically
from bradcn_nb.lens.thin_lens import resize
from bradcn_nb.models import load_bradcn, load_depth_net, onnx_export
from bradcn_nb.models.onnx_export import export_onnx

ROOT = Path(__file__).resolve().parent
VENDOR, OUT = ROOT / "vendor" / "onnxruntime", ROOT / "_static" / "browser" / "generated"


def build() -> list[Path]:
    """Write the scripts that are missing or old; return all of them."""
    made_of = _made_of()
    record = OUT / "made-of.json"
    if not record.is_file() or record.read_text("utf-8") != made_of:
        for name, text in _scripts().items():
            write_atomically(OUT / f"{name}.js", text.encode())
        write_atomically(record, made_of.encode())
    return sorted(OUT.glob("*.js"))


def _made_of() -> str:
    sources = [*sorted(VENDOR.iterdir()), weights_path(), weights_path("depth"), Path(__file__)]
    sources.append(Path(onnx_export.__file__))
    return json.dumps({path.name: file_digest(path) for path in sources})


def _scripts() -> dict[str, str]:
    glue = (VENDOR / "ort-wasm-simd-threaded.mjs").read_text("utf-8")
    return {
        "ort": (VENDOR / "ort.wasm.min.js").read_text("utf-8"),
        "glue": _entry("glue", json.dumps(glue)),
        "wasm": _entry("wasm", _quoted((VENDOR / "ort-wasm-simd-threaded.wasm.gz").read_bytes())),
        "bradcn": _entry("bradcn", _quoted(_packed(load_bradcn()))),
        "depth": _entry("depth", _quoted(_packed(load_depth_net()))),
        "sample": _entry("sample", _quoted(_sample())),
    }


def _entry(name: str, value: str) -> str:
    return f"(globalThis.bradcnFiles ??= {{}}).{name} = {value};\n"


def _quoted(data: bytes) -> str:
    return f'"{base64.b64encode(data).decode()}"'


def _packed(net) -> bytes:
    """The net as ONNX in 16 bits, gzipped. All even bytes go first: in 16-bit weights, every second
    byte holds sign and exponent, and these pack better together."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.onnx"
        export_onnx(net, path, half=True)
        data = path.read_bytes()
    return gzip.compress(data[::2] + data[1::2], 9, mtime=0)


def _sample() -> bytes:
    picture = resize(load_sample_image("china.jpg"), (427, 640))
    coded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])[1]
    return coded.tobytes()


if __name__ == "__main__":
    scripts = build()
    size = sum(path.stat().st_size for path in scripts) / 1e6
    print(f"{OUT}: {len(scripts)} scripts, {size:.1f} MB")
