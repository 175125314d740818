"""What the times say: the result file, its statistics, warnings, comparison, advice, pictures."""
