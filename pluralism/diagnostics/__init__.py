"""What went wrong, and for whom: checks of fitted models and of policies."""
