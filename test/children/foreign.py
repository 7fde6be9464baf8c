"""Appends foreign lines as the one-shot Python primitive does: os.open, os.write, os.fsync. Usage: LOG NAME COUNT"""
import json
import os
import sys

path, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
for n in range(count):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(fd, (json.dumps({"name": name, "n": n}) + "\n").encode())
        os.fsync(fd)
    finally:
        os.close(fd)
print("done")
