"""Sequence tasks on their data: recipes, what each reads and asks, how a run is carried out and used.

Nothing is imported here: `recipes` is light, the rest needs torch (extra `nets`).
"""

__all__: list[str] = []
