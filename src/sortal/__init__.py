"""Sortal turns a pile of unlabelled images into named groups and a trained classifier."""

__version__ = "0.1.0"
