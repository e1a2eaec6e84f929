"""From names to something that recognises them: a head on frozen vectors, or a network trained by the loop.

`loop.train` and all that needs torch is imported from its own module (extra `nets`).
"""

from sortal.train.augment import Augment, usual_augment
from sortal.train.calibration import Calibration
from sortal.train.curve import Epoch, curve_csv, curve_page
from sortal.train.head import Classified, Head, Prediction, train_head, train_head_from
from sortal.train.model import Model, load_model, save_model
from sortal.train.normalize import Normalize
from sortal.train.novelty import Novelty
from sortal.train.plan import Plan
from sortal.train.recipes import RECIPES, Recipe
from sortal.train.report import HeadReport, NameScore, NoveltyReport, wilson_interval

__all__ = [
    "RECIPES",
    "Augment",
    "Calibration",
    "Classified",
    "Epoch",
    "Head",
    "HeadReport",
    "Model",
    "NameScore",
    "Normalize",
    "Novelty",
    "NoveltyReport",
    "Plan",
    "Prediction",
    "Recipe",
    "curve_csv",
    "curve_page",
    "load_model",
    "save_model",
    "train_head",
    "train_head_from",
    "usual_augment",
    "wilson_interval",
]
