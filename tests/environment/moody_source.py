"""An Airbyte source with moods: bursts, stalls, junk, errors that it survives, workers that it orphans.

It never ends by itself. Its one argument before `read` is a seed.
"""

import json
import os
import random
import sys
import time


def say(message):
    sys.stdout.write(json.dumps(message) + "\n")


def status(value, **more):
    descriptor = {"name": "users"}
    body = {"stream_descriptor": descriptor, "status": value, **more}
    say({"type": "TRACE", "trace": {"type": "STREAM_STATUS", "emitted_at": 1.5, "stream_status": body}})


def burst(dice, number):
    for _ in range(dice.randrange(5000)):
        data = {"id": number, "text": "x" * dice.randrange(20, 3000)}
        say({"type": "RECORD", "record": {"stream": "users", "data": data, "emitted_at": 1}})
        number += 1
    return number


def orphan():
    """A worker whose parent is gone before it ends."""
    if os.fork() == 0:
        if os.fork() == 0:
            time.sleep(0.05)
        os._exit(0)
    os.wait()


def main():
    dice = random.Random(sys.argv[1])
    number = 0
    status("STARTED")
    while True:
        number = burst(dice, number)
        mood = dice.randrange(8)
        if mood == 0:
            sys.stdout.flush()
            time.sleep(dice.random())
        elif mood == 1:
            sys.stderr.write('Traceback (most recent call last):\n  File "x", line 1\nValueError: ' + str(number) + "\n")
        elif mood == 2:
            say({"type": "LOG", "log": {"level": "WARN", "message": "retrying " + str(number)}})
        elif mood == 3:
            sys.stdout.write("plain text " + str(number) + "\n")
        elif mood == 4:
            say({"type": "RECORD", "record": {"stream": "strangers", "data": {"id": number}, "emitted_at": 1}})
        elif mood == 5:
            sys.stdout.flush()
            orphan()
        elif mood == 6:
            reset = int(time.time() * 1000) + 1000
            status("RUNNING", reasons=[{"type": "RATE_LIMITED", "rate_limited": {"quota_reset": reset}}])
            status("RUNNING")
        state = {"stream_descriptor": {"name": "users"}, "stream_state": {"number": number}}
        say({"type": "STATE", "state": {"type": "STREAM", "stream": state, "sourceStats": {}}})
        sys.stdout.flush()


main()
