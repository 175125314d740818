"""What the times say: the result file, the statistics, and what a race says of them."""
