"""How matrix units add up: one module per family, each with a runner per unit."""
