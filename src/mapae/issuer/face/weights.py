"""The reference verifier's weights on this machine: where they are, and that they are the ones we mean.

Promises: the two files are found without importing their package, which no longer imports (it asks setuptools for
something that is gone); each is read whole and compared before it is used. Trusts: SHA-256. Keeps: nothing. Refuses:
one wrong byte. The 68-point file lies in the same folder and is never opened: it may not be used commercially.
"""

from __future__ import annotations

import hashlib
import importlib.util
from importlib import metadata
from pathlib import Path
from typing import Final

from ...errors import Code, Refused
from .values import ModelId

PACKAGE: Final = "face_recognition_models"
RESNET: Final = "dlib_face_recognition_resnet_model_v1.dat"
FIVE_POINTS: Final = "shape_predictor_5_face_landmarks.dat"
PINNED: Final = {
    RESNET: "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
    FIVE_POINTS: "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888",
}
_WHEELS: Final = ("dlib-bin", "dlib")  # the same library: ready made, or compiled here


def model_id() -> ModelId:
    """Who the reference verifier says it is. Raises Refused(FACE_UNAVAILABLE) where it is not installed."""
    for wheel in _WHEELS:
        try:
            version = metadata.version(wheel)
        except metadata.PackageNotFoundError:
            continue
        return ModelId("dlib-resnet-v1", version, PINNED[RESNET], accredited=False)
    raise Refused(Code.FACE_UNAVAILABLE, "the reference face verifier is not installed here")


def folder() -> Path:
    """Raises Refused(FACE_UNAVAILABLE) where the package is not installed."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise Refused(Code.FACE_UNAVAILABLE, "the weights of the reference face verifier are not installed here")
    return Path(next(iter(spec.submodule_search_locations))) / "models"


def checked(place: Path, name: str) -> str:
    """The path of a file that is byte for byte the pinned one. Raises Refused(FACE_UNAVAILABLE)."""
    path = place / name
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        raise Refused(Code.FACE_UNAVAILABLE, f"{name} cannot be read") from None
    if digest != PINNED[name]:
        raise Refused(Code.FACE_UNAVAILABLE, f"{name} is not the file we know")
    return str(path)
