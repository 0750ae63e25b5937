"""A strategy over a history folder or recorded answers, without slots where nothing can happen."""
