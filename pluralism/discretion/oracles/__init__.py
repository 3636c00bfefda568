"""What principles say of comparisons, found by tables, counts, people, rewards or language models."""
