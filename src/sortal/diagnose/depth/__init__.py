"""The gradient's way down through the layers of any network."""
