"""Who acts in the environments: naive baselines, filters, and oracles that know more than they are told."""
