"""Making history folders: from candles that people have, by stated rules, or from the simulated market."""
