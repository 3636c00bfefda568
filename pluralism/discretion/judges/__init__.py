"""Judges made fair: position bias, balanced verdicts, entropy and routing to people, reliability."""
