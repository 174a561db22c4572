"""Which unit should live on which disk: pure, no I/O, no clock."""
