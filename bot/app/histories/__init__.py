"""Making history folders: from candles, by stated rules, or from the simulated market."""
