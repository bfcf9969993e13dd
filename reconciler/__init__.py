"""Declare devices as YAML, see what would change, apply only that."""

__version__ = "0.1.0"
