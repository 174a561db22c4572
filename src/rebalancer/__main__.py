"""``python -m rebalancer`` is the same program."""

from rebalancer.cli import main

if __name__ == "__main__":
    main()
