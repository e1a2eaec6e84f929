"""What a network is asked: the loss it learns by and the figures it is judged by. Needs the extra `nets`."""

from sortal.tasks.classify import Classify, class_weights
from sortal.tasks.contrast import Contrast
from sortal.tasks.decode import Writes, beam_search, greedy
from sortal.tasks.language_model import LanguageModel, bits, sample
from sortal.tasks.memory import Adding, Copying
from sortal.tasks.sequence_classify import SequenceClassify
from sortal.tasks.tag import Tag
from sortal.tasks.task import Answer, Batch, Task
from sortal.tasks.write import Write

__all__ = [
    "Adding",
    "Answer",
    "Batch",
    "Classify",
    "Contrast",
    "Copying",
    "LanguageModel",
    "SequenceClassify",
    "Tag",
    "Task",
    "Write",
    "Writes",
    "beam_search",
    "bits",
    "class_weights",
    "greedy",
    "sample",
]
