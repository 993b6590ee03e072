#!/usr/bin/env python3
"""An injector of one's own: it stops the process of one instance with SIGSTOP.

Speaks `gameday.exec/1` (docs/exec-injector.md): one question as JSON on standard input, one answer
as JSON on standard output. `with` says which instance: {"instance": "payments-0"}.
"""
import json
import os
import signal
import sys


def boot_id():
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def state(process):
    """The state letter of that very process; nothing when it is gone, or its number is reused."""
    if process["bootId"] != boot_id():
        return None
    try:
        with open(f"/proc/{process['pid']}/stat", encoding="utf-8") as file:
            fields = file.read().rpartition(")")[2].split()
    except FileNotFoundError:
        return None
    return fields[0] if int(fields[19]) == process["startTicks"] else None


def arm(question):
    """Reads only: finds the process, and looks that it is not stopped already."""
    name = question["with"]["instance"]
    for service in question["topology"]["services"]:
        for instance in service["instances"]:
            if instance["name"] == name and instance.get("process"):
                if state(instance["process"]) in (None, "T"):
                    raise ValueError(f"{name} does not run")
                return {"undo": {"process": instance["process"]}}
    raise ValueError(f"there is no process of {name}")


def inject(question):
    process = question["undo"]["process"]
    if state(process) is None:
        raise ValueError("the process is gone")
    os.kill(process["pid"], signal.SIGSTOP)
    return {}


def verify(question):
    return {"inPlace": state(question["undo"]["process"]) == "T"}


def revert(question):
    """Works from the undo record alone, and may be called again and again."""
    process = question["undo"]["process"]
    if state(process) != "T":
        return {"reverted": "wasClean"}
    os.kill(process["pid"], signal.SIGCONT)
    return {"reverted": "putBack"}


def describe(_question):
    return {"format": "gameday.exec/1", "summary": "the process of an instance is stopped"}


VERBS = {"describe": describe, "arm": arm, "inject": inject, "verify": verify, "revert": revert}

if __name__ == "__main__":
    asked = json.load(sys.stdin)
    try:
        print(json.dumps(VERBS[asked["verb"]](asked)))
    except (OSError, ValueError, KeyError) as error:
        print(json.dumps({"error": str(error)}))
        sys.exit(1)
