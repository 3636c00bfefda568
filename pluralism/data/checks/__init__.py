"""The checks behind `pluralism.data.check`, by subject; each gives back one `Check` that says what it found."""
