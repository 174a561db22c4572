"""Where the dashboard listens."""

import socket
from contextlib import closing

from rebalancer.web.server import listening


def test_an_answer_does_not_wait_until_its_first_part_is_acknowledged() -> None:
    """Head and body are written apart; with Nagle's algorithm the body came 40 ms later, on every page."""
    with closing(listening("127.0.0.1", 0)) as listener, closing(socket.create_connection(listener.getsockname())):
        accepted, _ = listener.accept()
        with closing(accepted):
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
