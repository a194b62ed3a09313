"""From rows or cells to a verdict: pure, on numpy arrays; the statistics themselves are in `chaffinch_stats.paired`."""
