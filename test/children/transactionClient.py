"""Speaks the protocol of `auditlog exec` without any code of the library.

transactionClient.py appends COUNT      one connection an append, {"n":0} … {"n":COUNT-1}
transactionClient.py raw [joined]       a connection for each line of stdin: sends its bytes (in hexadecimal), after a
                                        join if so asked, and prints the last line that comes back
transactionClient.py flood BYTES        sends so many bytes without a newline, prints what comes back
transactionClient.py late RECORD        joins, prints "joined", waits for a line on fifo $GO, then appends RECORD
transactionClient.py during LOG         joins, prints "joined", waits until something stands in LOG, then prints the
                                        answers to an append, and to the join of another connection
"""

import json
import os
import socket
import sys
import time

membership = json.loads(os.environ["AUDITLOG_TRANSACTIONS"])[-1]


def connect():
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(membership["socket"])
    return s, s.makefile("rb")


def ask(s, answers, request):
    s.sendall(json.dumps(request).encode() + b"\n")
    return answers.readline().decode().strip()


def join(s, answers):
    return ask(s, answers, {"op": "join", "version": 1, "id": membership["id"]})


def append(s, answers, record):
    request = {"op": "append", "at": "2026-11-23T09:15:02.114Z", "record": json.dumps(record)}
    return ask(s, answers, request)


def drain(s):
    got = b""
    try:
        while True:
            block = s.recv(65536)
            if not block:
                break
            got += block
    except ConnectionError:
        pass
    print(got.decode().strip(), flush=True)


action, *rest = sys.argv[1:]
if action == "appends":
    for n in range(int(rest[0])):
        s, answers = connect()
        assert json.loads(join(s, answers))["ok"], "join"
        assert json.loads(append(s, answers, {"n": n})) == {"ok": True}, "append"
        s.close()
elif action == "raw":
    for line in sys.stdin:
        s, answers = connect()
        if rest == ["joined"]:
            join(s, answers)
        s.sendall(bytes.fromhex(line))
        s.shutdown(socket.SHUT_WR)
        print(answers.read().decode().splitlines()[-1], flush=True)
elif action == "flood":
    s, answers = connect()
    try:
        for _ in range(int(rest[0]) // 65536):
            s.sendall(b"x" * 65536)
    except (ConnectionError, BrokenPipeError):
        pass
    drain(s)
elif action == "during":
    s, answers = connect()
    join(s, answers)
    print("joined", flush=True)
    while os.path.getsize(rest[0]) == 0:
        time.sleep(0.005)
    print(append(s, answers, {"n": "late"}), flush=True)
    print(join(*connect()), flush=True)
elif action == "late":
    s, answers = connect()
    join(s, answers)
    print("joined", flush=True)
    with open(os.environ["GO"]) as go:
        go.readline()
    try:
        print(append(s, answers, json.loads(rest[0])) or "closed", flush=True)
    except ConnectionError:
        print("closed", flush=True)
