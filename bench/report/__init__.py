"""What the terminal shows: words and tables for people."""
