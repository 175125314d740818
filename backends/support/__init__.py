"""What serves the ladder: finding and loading backends, machine code, threads, dask's tasks."""
