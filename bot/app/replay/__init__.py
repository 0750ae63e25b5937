"""A strategy over a history folder or over recorded answers, without the slots at which nothing can happen."""
