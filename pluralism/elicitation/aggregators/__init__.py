"""Aggregators: from counts of answers to a ranking of values, by many rules behind one interface."""
