"""What a moral graph looks like: circles, parts, transitivity, who moves it, who answers how, what is still missing."""
