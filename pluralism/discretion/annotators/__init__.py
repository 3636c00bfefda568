"""Who decides: people, fitted models, reward models, language models by likelihood or as judges."""
