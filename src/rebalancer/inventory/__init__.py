"""What is on the disks, as units."""
