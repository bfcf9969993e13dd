"""Files -> DesiredState."""
