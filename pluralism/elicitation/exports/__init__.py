"""Moral graphs in files: whole, as the original published them, for graph programs, spreadsheets, models and people."""
