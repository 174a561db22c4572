"""Moving, beside what people use today: the disks, the trees, the rivals, the rounds, the tables."""
