"""The outside world: HTTP, SQL, files, time. No decision is taken here."""
