"""gradrace from Python and in notebooks; each module is imported when its names are first used."""
