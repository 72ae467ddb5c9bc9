"""What is forked (tests/fork_server.py) is a process like any other."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.fork_server import ForkServer, ForkServerError, fork_server

TIMEOUT_S = 60


def test_it_is_as_if_it_had_just_started(tmp_path: Path) -> None:
    """Its arguments, folder, environment, files and session are its own, and nothing of the process that forked it is open."""
    (tmp_path / "probe.py").write_text(
        "import json, os, sys, threading\n"
        "print(json.dumps({'arguments': sys.argv[1:], 'name': __name__, 'main': __spec__.name, 'folder': os.getcwd(),\n"
        "    'mark': os.environ.get('MARK'), 'home': os.environ.get('HOME'), 'read': sys.stdin.read(),\n"
        "    'leads': os.getsid(0) == os.getpid(), 'threads': threading.active_count(),\n"
        "    'files': [os.path.exists(f'/proc/self/fd/{number}') for number in range(3, 64)]}))\n"
        "sys.exit(7)\n"
    )
    first, second = (
        fork_server().start(
            "probe", word, cwd=tmp_path, environment={"MARK": word}, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for word in ("one", "two")
    )  # fmt: skip
    for process, word in ((second, "two"), (first, "one")):
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.poll() is None
        process.stdin.write(word.encode())
        process.stdin.close()
        with process.stdout as pipe:
            told = json.loads(pipe.read())
        assert process.wait(TIMEOUT_S) == 7
        assert not any(told.pop("files"))
        assert told == {
            "arguments": [word], "name": "__main__", "main": "probe", "folder": str(tmp_path), "mark": word,
            "home": None, "read": word, "leads": True, "threads": 1,
        }  # fmt: skip


def test_how_it_ends(tmp_path: Path) -> None:
    """Signals reach it, a timeout leaves it running, and an exception is told as by any other program."""
    (tmp_path / "sleep.py").write_text("import time\nprint('here', flush=True)\ntime.sleep(600)\n")
    (tmp_path / "fail.py").write_text("1 / 0\n")
    for number in (signal.SIGTERM, signal.SIGKILL):
        process = fork_server().start("sleep", cwd=tmp_path, environment={}, stdout=subprocess.PIPE)
        assert process.stdout is not None
        with process.stdout as pipe:
            assert pipe.readline() == b"here\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        process.send_signal(number)
        assert process.wait(TIMEOUT_S) == -number
        assert process.poll() == -number
        assert not psutil.pid_exists(process.pid)
        process.kill()
    failed = fork_server().run("fail", cwd=tmp_path, environment={}, timeout_s=TIMEOUT_S)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_one_that_has_ended_says_why(tmp_path: Path) -> None:
    with ForkServer() as forks:
        os.kill(forks.pid, signal.SIGKILL)
        with pytest.raises(ForkServerError, match="has ended"):
            forks.run("app", "--help", cwd=tmp_path, environment={}, timeout_s=TIMEOUT_S)


def test_it_ends_when_nobody_can_ask_any_more() -> None:
    forks = ForkServer()
    pid = forks.pid
    started_at = time.monotonic()
    forks.close()
    assert time.monotonic() - started_at < TIMEOUT_S
    assert not psutil.pid_exists(pid)
