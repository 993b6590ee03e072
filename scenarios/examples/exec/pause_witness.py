#!/usr/bin/env python3
"""The witness of pause.py: it asks the instance over HTTP, and looks at no process at all.

A stopped process still accepts connections (its kernel does) and answers nothing.
"""
import json
import socket
import sys

SILENCE_S = 0.4
REQUEST = b"GET /healthz HTTP/1.1\r\nhost: witness\r\nconnection: close\r\n\r\n"


def answers(address):
    """Whether the instance answers at all; an error when not even a connection can be made."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=SILENCE_S) as connection:
        connection.settimeout(SILENCE_S)
        connection.sendall(REQUEST)
        try:
            return bool(connection.recv(1))
        except TimeoutError:
            return False


def baseline(question):
    """Before the injection: where the instance is, and that it answers there."""
    name = question["with"]["instance"]
    for service in question["topology"]["services"]:
        for instance in service["instances"]:
            if instance["name"] == name and instance.get("address"):
                if not answers(instance["address"]):
                    raise ValueError(f"{name} does not answer before the fault")
                return {"baseline": {"address": instance["address"]}}
    raise ValueError(f"{name} has no address")


def look(question):
    address = question["baseline"]["address"]
    try:
        if answers(address):
            return {"sighting": "notInForce", "seen": f"{address} answers"}
        return {"sighting": "inForce", "seen": f"{address} accepts and says nothing"}
    except OSError as error:
        return {"sighting": "unknown", "seen": f"{address}: {error}"}


VERBS = {"baseline": baseline, "look": look}

if __name__ == "__main__":
    asked = json.load(sys.stdin)
    try:
        print(json.dumps(VERBS[asked["verb"]](asked)))
    except (OSError, ValueError, KeyError) as error:
        print(json.dumps({"error": str(error)}))
        sys.exit(1)
