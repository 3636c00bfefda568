"""Neighbours of moral graphs: slates of statements, deliberation by predicted rankings, what an interview teaches."""
