"""One open, one write, one fsync and one close for each record, as careful Python programs append.

    atomic_append_jsonl.py PATH MILLISECONDS RECORD

Says `ready` after a warm-up, and prints what it measured for each line of its input.
"""
import json
import os
import resource
import sys
import time


def atomic_append_jsonl(path, record):
    line = (json.dumps(record) + "\n").encode()
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(fd, line)
        os.fsync(fd)
    finally:
        os.close(fd)


def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 / 1e6 for line in status if line.startswith("VmHWM"))


def measure(path, record, seconds):
    latencies = []
    used = cpu()
    start = since = time.perf_counter()
    while since < start + seconds:
        atomic_append_jsonl(path, record)
        after = time.perf_counter()
        latencies.append(after - since)
        since = after
    count = len(latencies)
    latencies.sort()
    return {
        "rate": count / (since - start),
        "p50": latencies[count // 2] * 1e3,
        "p99": latencies[count * 99 // 100] * 1e3,
        "cpu": (cpu() - used) * 1e6 / count,
        "peak": peak(),
    }


path, seconds, record = sys.argv[1], float(sys.argv[2]) / 1e3, json.loads(sys.argv[3])
measure(path, record, seconds * 2)
print("ready", flush=True)
for _ in sys.stdin:
    print(json.dumps(measure(path, record, seconds)), flush=True)
