"""How good a configuration is: splits, ranking metrics, the report."""
