"""A classifier from named vectors, with an honest score, and the folder it is kept in."""

from sortal.train.calibration import Calibration
from sortal.train.head import Classified, Head, Prediction, train_head, train_head_from
from sortal.train.model import Model, load_model, save_model
from sortal.train.novelty import Novelty
from sortal.train.report import HeadReport, NameScore, NoveltyReport, wilson_interval

__all__ = [
    "Calibration",
    "Classified",
    "Head",
    "HeadReport",
    "Model",
    "NameScore",
    "Novelty",
    "NoveltyReport",
    "Prediction",
    "load_model",
    "save_model",
    "train_head",
    "train_head_from",
    "wilson_interval",
]
