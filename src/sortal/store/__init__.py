"""The pile on disk: a catalogue (SQLite) and checksummed column segments."""

from sortal.store.columns import Column
from sortal.store.journal import MARKS, Act, Marks, checked_name, counting, effective_labels, marks
from sortal.store.records import (
    Batch,
    EncoderRow,
    FileRow,
    Grouping,
    ItemFile,
    NewFile,
    NewItem,
    NewQuarantine,
    NewVectors,
    Problem,
    QuarantineRow,
    RunRow,
    SourceRow,
    Stamp,
)
from sortal.store.segments import Segment, SegmentWriter, sync_folder
from sortal.store.store import Store, is_pile

__all__ = [
    "MARKS",
    "Act",
    "Batch",
    "Column",
    "EncoderRow",
    "FileRow",
    "Grouping",
    "ItemFile",
    "Marks",
    "NewFile",
    "NewItem",
    "NewQuarantine",
    "NewVectors",
    "Problem",
    "QuarantineRow",
    "RunRow",
    "Segment",
    "SegmentWriter",
    "SourceRow",
    "Stamp",
    "Store",
    "checked_name",
    "counting",
    "effective_labels",
    "is_pile",
    "marks",
    "sync_folder",
]
