"""Gates: the conditions that a candidate has to meet, each a function that returns a finding."""
