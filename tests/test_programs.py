"""Programs of the user's own, and the modules beside them: which these are, and whose a name is."""

from __future__ import annotations

import sys
from importlib.machinery import EXTENSION_SUFFIXES

import pytest

from solverbench import programs
from solverbench.errors import UsageError
from solverbench.programs import run_file, sources


@pytest.fixture(autouse=True)
def forgetful(monkeypatch):
    monkeypatch.setattr(programs, "_HOMES", {})
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(folder, files):
    for name, text in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return folder / "mine.py"


def test_the_sources_of_a_program_are_what_it_imports_from_its_folder(tmp_path):
    compiled = f"fast{EXTENSION_SUFFIXES[0]}"
    mine = write(tmp_path, {
        "mine.py": "import numpy, helpers, solverbench\nfrom deep.er import x\ndef f():\n    import late.sub, fast",
        "helpers.py": "import sys, second, absent\nfrom . import never",
        "second.py": "import helpers, mine",
        "late/__init__.py": "from .other import y",
        "late/other.py": "import third", "late/data.txt": "", "late/not-a-module/x.py": "",
        "third.py": "this is no Python", "deep/er.py": "x = 1", "deep/er2.py": "",
        "unused.py": "", "numpy/no_package.py": "", "solverbench.py": "", "sys.py": "", compiled: "",
    })  # fmt: skip
    found = [path.relative_to(tmp_path).as_posix() for path in sources(mine)]
    assert found == ["mine.py", "deep/er.py", "deep/er2.py", compiled, "helpers.py", "late/__init__.py",
                     "late/other.py", "second.py", "third.py"]  # fmt: skip
    assert sources(tmp_path / "absent.py") == (tmp_path / "absent.py",)


OWN = "from helpers import number\nimport parts.one\ndef late():\n    import afterwards\n    return afterwards.number\n"


def test_modules_beside_a_program_are_found_then_and_later(tmp_path):
    path = write(tmp_path, {"mine.py": OWN, "helpers.py": "number = 1", "parts/one.py": "number = 2",
                            "afterwards.py": "number = 3"})  # fmt: skip
    before = [*sys.path]
    mine = run_file(path, "mine_1")
    assert (mine.number, mine.parts.one.number, mine.late()) == (1, 2, 3)
    assert sys.path == before


@pytest.mark.parametrize("first", ["one", "two"])
def test_two_programs_have_helpers_of_their_own(tmp_path, first):
    """Whichever is run first, and run again; the first one's are found afterwards, also those not yet imported."""
    text = "import helpers, package.part\nfound = helpers.number, package.part.number\n"
    late = "def late():\n    import afterwards, helpers\n    return afterwards.number, helpers.number\n"
    for number, folder in enumerate(("one", "two")):
        value = f"number = {number}"
        write(tmp_path / folder, {"mine.py": text + (late if folder == first else "import afterwards"),
                                  "helpers.py": value,
                                  "package/__init__.py": "", "package/part.py": "from helpers import number",
                                  "afterwards.py": value})  # fmt: skip
    order = sorted(("one", "two"), key=lambda folder: folder != first)
    made = {folder: run_file(tmp_path / folder / "mine.py", folder) for folder in (*order, *order)}
    assert (made["one"].found, made["two"].found) == ((0, 0), (1, 1))
    number = ("one", "two").index(first)
    assert made[first].late() == (number, number)


def test_a_name_that_is_in_use_and_imported_late_is_refused(tmp_path):
    """It would be the other program's, silently."""
    late = "def late():\n    import helpers\n    return helpers.number\n"
    paths = [write(tmp_path / folder, {"mine.py": late, "helpers.py": "number = 0"}) for folder in ("one", "two")]
    run_file(paths[0], "one")
    with pytest.raises(UsageError, match=r"mine.py: mine.py imports helpers inside a function, and another module"):
        run_file(paths[1], "two")
    assert run_file(paths[0], "one").late() == 0


def test_what_was_imported_from_elsewhere_before_is_not_taken_for_a_programs_own(tmp_path, monkeypatch):
    write(tmp_path / "else", {"helpers.py": "number = 7"})
    monkeypatch.syspath_prepend(tmp_path / "else")
    import helpers

    path = write(tmp_path / "home", {"mine.py": "import helpers", "helpers.py": "number = 1"})
    assert run_file(path, "mine_1").helpers.number == 1
    assert sys.modules["helpers"] is helpers
    write(tmp_path / "home", {"mine.py": "import helpers\n1 / 0"})
    with pytest.raises(UsageError, match=r"mine.py, line 2: ZeroDivisionError"):
        run_file(path, "mine_1")
    assert sys.modules["helpers"] is helpers
    assert programs._HOMES == {}
