"""The dashboard, its interface for programs, and the figures for monitors: they ask the engine, and decide nothing."""
