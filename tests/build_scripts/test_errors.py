"""What a module that is a program leaves behind when it cannot go on."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pytest

from build_scripts import errors


def test_what_is_wrong_is_said_and_becomes_the_exit_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(arguments: Sequence[str]) -> None:
        raise errors.InstallError(f"`{arguments[0]}` cannot be used")

    monkeypatch.setattr(sys, "argv", ["program", "this"])
    with pytest.raises(SystemExit) as ended:
        errors.run(main)
    assert ended.value.code == errors.InstallError.exit_code
    assert capsys.readouterr().err == "`this` cannot be used\n"
