"""Reads a log with Python's json: read_json.py PATH [ACTOR]. Counts the records, or those of an actor."""
import json
import sys

path, actor = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None
seen = 0
with open(path, "rb") as lines:
    for line in lines:
        record = json.loads(line)
        if actor is None or record["actor"] == actor:
            seen += 1
with open("/proc/self/status") as status:
    peak = next(int(line.split()[1]) * 1024 / 1e6 for line in status if line.startswith("VmHWM"))
print(json.dumps({"seen": seen, "peak": peak}))
