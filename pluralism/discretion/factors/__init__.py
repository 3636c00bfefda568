"""Why one response is preferred: factors of texts, their influence, and weights of properties."""
