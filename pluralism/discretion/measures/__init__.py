"""How discretion is used: categories, arbitrariness, supremacy, priority, discrepancy, with resamples."""
