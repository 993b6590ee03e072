"""An echo server, and a client that sends at exact times without waiting for answers.

The client spins: its core never sleeps, so what it measures is not its own wake-up."""

import gc
import select
import socket
import sys
import time
from collections import deque

SIZE = 64


def serve(port):
    """Echoes for ever."""
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    ready, peers = select.epoll(), {}
    ready.register(listener, select.EPOLLIN)
    while True:
        for number, _ in ready.poll():
            if number == listener.fileno():
                peer, _ = listener.accept()
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                peers[peer.fileno()] = peer
                ready.register(peer, select.EPOLLIN)
                continue
            peer = peers[number]
            try:
                data = peer.recv(65536)
                if data:
                    peer.sendall(data)
                    continue
            except OSError:
                pass
            ready.unregister(peer)
            del peers[number]
            peer.close()


def connect(port):
    peer = socket.create_connection(("127.0.0.1", port), 5)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return peer


def round_trips(port, connections, rate, seconds):
    """Round-trip times in us, ascending, of messages that leave at `rate` per second in all,
    from the instant of their sending. What did not come back within 5 s is an error."""
    peers = [connect(port) for _ in range(connections)]
    ready, by_number = select.epoll(), {}
    for peer in peers:
        # One message each way first, so that the connection stands on both sides.
        peer.sendall(bytes(SIZE))
        receive(peer, SIZE)
        peer.setblocking(False)
        ready.register(peer, select.EPOLLIN)
        by_number[peer.fileno()] = (peer, deque(), [0])
    total, sent, took = int(rate * seconds), 0, []
    order = [by_number[peer.fileno()] for peer in peers]
    now = time.monotonic
    gc.disable()
    begin = now() + 0.01
    while len(took) < total:
        if sent < total and now() >= begin + sent / rate:
            peer, waiting, _ = order[sent % connections]
            waiting.append(now())
            peer.send(bytes(SIZE))
            sent += 1
        for number, _ in ready.poll(0):
            peer, waiting, part = by_number[number]
            part[0] += len(peer.recv(65536))
            at = now()
            while part[0] >= SIZE:
                part[0] -= SIZE
                took.append(1e6 * (at - waiting.popleft()))
        if now() > begin + seconds + 5:
            raise TimeoutError(f"{total - len(took)} of {total} messages did not come back")
    gc.enable()
    for peer in peers:
        peer.close()
    return sorted(took)


def receive(peer, length):
    while length:
        data = peer.recv(length)
        if not data:
            raise ConnectionError("the connection was closed")
        length -= len(data)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
