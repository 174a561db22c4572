"""What the benchmark of the scan is made of."""
