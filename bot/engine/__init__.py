"""Trading decisions as pure functions over values: the same input always gives the same output."""
