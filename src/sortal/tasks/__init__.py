"""What a network is asked: the loss it learns by and the figures it is judged by. Needs the extra `nets`."""

from sortal.tasks.classify import Classify, class_weights
from sortal.tasks.contrast import Contrast
from sortal.tasks.task import Answer, Batch, Task

__all__ = ["Answer", "Batch", "Classify", "Contrast", "Task", "class_weights"]
