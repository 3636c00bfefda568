"""Bots that take part in a study over HTTP, as people with a browser do, and check that nothing of theirs is lost."""
