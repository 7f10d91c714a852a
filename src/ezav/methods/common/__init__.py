"""Small modules that several methods really share; a folder without `method.py` is no method."""
