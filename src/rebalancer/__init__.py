"""Unraid Rebalancer: which folders should live on which disk, moved without putting a file at risk."""
