"""The tests; a package so that they can speak the small languages of tests.notation to each other."""
