"""How good an account was: statistics in floats over marks and trades; strangers to the engine that made them."""
