"""How sure a moral graph is: resampled people, posteriors of edges, tiers instead of a winner."""
