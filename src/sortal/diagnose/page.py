"""The page of a study or of a look at a network: `sortal.page`, which curves and transfers use as well."""

from sortal.page import Picture, Section, Table, page

__all__ = ["Picture", "Section", "Table", "page"]
