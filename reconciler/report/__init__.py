"""Plans, problems and outcomes -> text. Pure functions."""
