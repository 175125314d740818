"""The race: what runs, in which order, in which process, and all of it together."""
