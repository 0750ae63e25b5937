"""What we decide: pure functions over values. Same input, same output, on any machine."""
