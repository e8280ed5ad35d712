"""The smoke run: green from end to end, and honest when a step fails. The visitor reads forms as a browser sends them."""

import json
import subprocess

import pytest

from operations import smoke
from operations.places import PYTHON, ROOT
from operations.processes import System
from operations.trouble import Trouble
from operations.visitor import Shown

PAGE = """
<form action="/search"><input name="q" value="a"></form>
<form method="post" action="/m/x/products">
<input type="hidden" name="_csrf" value="t"><input name="name" value="A &amp; B"><input type="file" name="file">
<input type="radio" name="kind" value="one"><input type="radio" name="kind" value="two" checked>
<input type="checkbox" name="hot"><input type="checkbox" name="sure" checked>
<select name="hue"><option value="1">1</option><option value="2" selected>2</option></select>
<select name="category"><option value="">None</option><option value="c">C</option></select>
<textarea name="usage">
first
second</textarea><button name="act" value="add">Add</button>
</form>
"""


def test_the_main_job_from_end_to_end() -> None:
    done = subprocess.run(
        [PYTHON, "-m", "operations", "smoke"], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert found["smoke"] == "ok"
    assert [step["name"] for step in found["steps"]] == ["start everything", *smoke.STEPS, "stop everything"]
    assert found["paid_to_readable_ms"] > 0


def test_a_step_that_fails_is_named_and_everything_is_stopped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped: list[str] = []

    def fail(_run: smoke.Run) -> None:
        raise Trouble("the shop is shut")

    monkeypatch.setattr(System, "start", lambda self: self)
    monkeypatch.setattr(System, "delete", lambda self: stopped.append("deleted"))
    monkeypatch.setattr(smoke, "STEPS", {"sign up": fail})
    assert smoke.run([]) == 1
    last = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert (last["smoke"], last["step"], last["problem"]) == ("failed", "sign up", "the shop is shut")
    assert stopped == ["deleted"]


def test_a_form_holds_what_a_browser_would_send() -> None:
    page = Shown("http://a.localhost:1/m/x/products/new", 200, PAGE)
    assert page.form_to("/products").fields == {
        "_csrf": "t",
        "name": "A & B",
        "kind": "two",
        "sure": "on",
        "hue": "2",
        "category": "",
        "usage": "first\nsecond",
    }


def test_a_page_without_the_form_says_so() -> None:
    with pytest.raises(Trouble, match="has no form to …/checkout"):
        Shown("http://a.localhost:1/x", 200, PAGE).form_to("/checkout")
