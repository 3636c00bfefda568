"""What to ask next: which pairs of values to vote on, and which items to compare."""
