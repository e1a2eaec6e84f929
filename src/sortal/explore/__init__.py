"""Looking at a pile: what groups are like, who is near whom, a map, and a page that shows it all.

Arrays and plain frozen records in and out; every record turns into JSON by `as_json`. It knows nothing of
the store or of encoders. Items are positions, 0..n-1 in the pile's fixed order.
"""

from sortal.explore.gallery import gallery
from sortal.explore.groups import GroupShape, describe
from sortal.explore.keywords import keywords
from sortal.explore.map import MapView, project
from sortal.explore.names import Conflict, GroupName, agreement, name_groups
from sortal.explore.neighbors import Neighbor, Outlier, nearest, outliers
from sortal.explore.records import as_json
from sortal.explore.report import (
    Candidates,
    Fact,
    Refusal,
    Report,
    command_to_name,
    page_data,
    thumbnail_positions,
    write_report,
)

__all__ = [
    "Candidates",
    "Conflict",
    "Fact",
    "GroupName",
    "GroupShape",
    "MapView",
    "Neighbor",
    "Outlier",
    "Refusal",
    "Report",
    "agreement",
    "as_json",
    "command_to_name",
    "describe",
    "gallery",
    "keywords",
    "name_groups",
    "nearest",
    "outliers",
    "page_data",
    "project",
    "thumbnail_positions",
    "write_report",
]
