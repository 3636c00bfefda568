"""People and cards whose truth is known: what a graph should find is written beside the votes it is given."""
