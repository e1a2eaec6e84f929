"""Networks watched from outside: what they learned, as pictures, and what depth, regularisers, filters do.

    from sortal import diagnose, nets
    net = nets.resnet20(seed=0)
    first = diagnose.filters(net)                    # (16, 3, 3, 3)
    maps = diagnose.feature_maps(net, image)         # {"layer1": (16, 32, 32), ...}
    where = diagnose.evidence(net, image, number=3)  # Grad-CAM, (8, 8)

Nothing here edits a network. Pages are written by `look_page` and `study_folder`. Needs the extra `nets`.
"""

from sortal.errors import MissingExtra

try:
    import torch as _torch  # noqa: F401
except ImportError as e:
    raise MissingExtra("sortal.diagnose", "nets") from e

from sortal.diagnose.degradation import Degradation, degradation
from sortal.diagnose.filter_sizes import FilterSizes, filter_sizes
from sortal.diagnose.linear_dropout import (
    DropoutCheck,
    check_dropout,
    expected_loss,
    scaled_expected_loss,
)
from sortal.diagnose.look import answers, depths, evidence, feature_maps, filters
from sortal.diagnose.regularisation import Regularisation, regularisation
from sortal.diagnose.study_data import StudyData, study_data
from sortal.diagnose.watch import GradientNorms, gradient_norms
from sortal.diagnose.window import WindowStudy, window_study

__all__ = [
    "Degradation",
    "DropoutCheck",
    "FilterSizes",
    "GradientNorms",
    "Regularisation",
    "StudyData",
    "WindowStudy",
    "answers",
    "check_dropout",
    "degradation",
    "depths",
    "evidence",
    "expected_loss",
    "feature_maps",
    "filter_sizes",
    "filters",
    "gradient_norms",
    "regularisation",
    "scaled_expected_loss",
    "study_data",
    "window_study",
]
del MissingExtra
