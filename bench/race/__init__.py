"""The race: what runs, in which order and in which process."""
