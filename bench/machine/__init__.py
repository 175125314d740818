"""What this computer is, what it can do at most, and the processes that run on it."""
