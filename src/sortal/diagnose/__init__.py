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

from sortal.diagnose.clipping import Clipping, ClippingReport, clipping_report
from sortal.diagnose.degradation import Degradation, degradation
from sortal.diagnose.depth.coherence import coherence
from sortal.diagnose.depth.profile import Activation, Layer, Profile, layer_profile
from sortal.diagnose.filter_sizes import FilterSizes, filter_sizes
from sortal.diagnose.linear_dropout import (
    DropoutCheck,
    check_dropout,
    expected_loss,
    scaled_expected_loss,
)
from sortal.diagnose.look import answers, depths, evidence, feature_maps, filters
from sortal.diagnose.microscope import Microscope, Sample
from sortal.diagnose.regularisation import Regularisation, regularisation
from sortal.diagnose.study_data import StudyData, study_data
from sortal.diagnose.time.bptt import BpttTerms, bptt_terms
from sortal.diagnose.time.gates import Gate, gates
from sortal.diagnose.time.jacobians import GRUForms, gru_forms, jacobians, stack_jacobians
from sortal.diagnose.time.lags import Lags, lags_of
from sortal.diagnose.time.products import (
    SingularValues,
    horizon,
    log_norms,
    log_norms_by_lag,
    lyapunov_exponents,
    singular_values,
)
from sortal.diagnose.time.spectrum import Spectrum, spectrum
from sortal.diagnose.verdict.conditions import Sign, Verdict
from sortal.diagnose.verdict.cures import Trial, try_cures
from sortal.diagnose.verdict.examination import Examination, examine
from sortal.diagnose.watch import GradientNorms, gradient_norms
from sortal.diagnose.watched import Watched
from sortal.diagnose.window import WindowStudy, window_study

__all__ = [
    "Activation",
    "BpttTerms",
    "Clipping",
    "ClippingReport",
    "Degradation",
    "DropoutCheck",
    "Examination",
    "FilterSizes",
    "GRUForms",
    "Gate",
    "GradientNorms",
    "Lags",
    "Layer",
    "Microscope",
    "Profile",
    "Regularisation",
    "Sample",
    "Sign",
    "SingularValues",
    "Spectrum",
    "StudyData",
    "Trial",
    "Verdict",
    "Watched",
    "WindowStudy",
    "answers",
    "bptt_terms",
    "check_dropout",
    "clipping_report",
    "coherence",
    "degradation",
    "depths",
    "evidence",
    "examine",
    "expected_loss",
    "feature_maps",
    "filter_sizes",
    "filters",
    "gates",
    "gradient_norms",
    "gru_forms",
    "horizon",
    "jacobians",
    "lags_of",
    "layer_profile",
    "log_norms",
    "log_norms_by_lag",
    "lyapunov_exponents",
    "regularisation",
    "scaled_expected_loss",
    "singular_values",
    "spectrum",
    "stack_jacobians",
    "study_data",
    "try_cures",
    "window_study",
]
del MissingExtra
