"""Statistics of pictures and sounds that need no download: the built-in encoders."""
