"""The desk, what it hands to whom; and what becomes of cells whose worker of a cluster is lost, without a cluster."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import SimpleNamespace

import pytest

from solverbench.errors import ArtifactError, SolverbenchError, UsageError
from solverbench.programs import run_file
from solverbench.run import cells, cluster, luggage, remote, suite
from solverbench.run.bench import Done, Notice, Returned, Shared
from solverbench.run.desk import Desk


@pytest.fixture
def selected(small_fields, suite_file):
    return cells.select(suite.load(suite_file())).cells


def names(taken):
    return [cell.problem.spec.name for cell in taken]


def test_a_problem_is_its_first_hands_alone_until_it_is_prepared(selected):
    desk = Desk(selected)
    assert names(desk.take("a", 5)) == ["gaussian"]  # alone: one at a time
    assert names(desk.take("b", 5)) == ["mixture"]
    assert desk.take("c") == []
    assert desk.take("a", 5, held=1) == []
    desk.note(Shared("gaussian", None, b""))
    assert names(desk.take("c", 3)) == ["gaussian"] * 3
    assert names(desk.take("a", 5, held=1)) == ["gaussian"] * 5
    assert names(desk.take("a", 5)) == ["gaussian"]
    assert desk.take("a", 5) == []  # the mixture is b's, who has not prepared it
    desk.leave("b")
    assert names(desk.take("a", 5)) == ["mixture"]


def test_every_cell_is_handed_out_once_and_put_back_once(selected):
    desk = Desk(selected)
    for name in ("gaussian", "mixture"):
        desk.note(Shared(name, None, b""))
    first = desk.take("a")[0]
    desk.put_back(first)
    taken = [cell for _ in range(len(selected)) for cell in desk.take("b", 3)]
    assert sorted(cell.id for cell in taken) == sorted(cell.id for cell in selected)
    assert not desk


def test_a_solver_that_cost_a_process_is_not_traced_for_others(selected):
    desk = Desk(selected)
    last = selected[4]
    assert "ddim" in desk.task(last).before
    desk.note(Done("x", {"solver": "ddim"}, fatal=True))
    assert "ddim" not in desk.task(last).before


def test_a_cell_that_another_solvers_program_cost_its_process_is_run_again_without_it(selected):
    desk = Desk(selected)
    (cell,) = desk.take("a")
    desk.note(Returned(cell.id, "ddim"))
    assert desk.take("a") == [cell]
    assert "ddim" not in desk.task(selected[4]).before


class Client:
    """Takes tasks and does nothing; `come` and `go` are workers, and `answer` is what one of them sends."""

    def __init__(self):
        self.workers, self.tasks, self.cancelled, self.count = {}, [], [], 0
        self.loop = SimpleNamespace(add_callback=lambda *_: None)

    def nthreads(self):
        return self.workers

    def submit(self, function, *arguments, key=None, workers=None, **_):
        self.count += 1
        future = SimpleNamespace(key=key or f"{function.__name__}-{self.count}", arguments=arguments, workers=workers)
        if function is not cluster._same:
            self.tasks.append(future)
        return future

    def cancel(self, futures):
        self.cancelled += futures

    def run(self, *_, **__):
        pass


@pytest.fixture
def study(selected, monkeypatch):
    monkeypatch.setattr(cluster, "BEAT", 0.0)
    made = cluster._Study(Client(), selected, cluster.Dask("tcp://s:1", 1, cluster.Limits(), False))
    for name in ("gaussian", "mixture"):
        made.desk.note(Shared(name, None, b""))
    return made


def turn(study, **workers):
    """One round: these workers are there, with so many threads; new ones greet."""
    study.client.workers = {f"tcp://{name}:1": threads for name, threads in workers.items()}
    events = list(study._muster())
    for key, (_, whose) in list(study.flying.items()):
        if isinstance(whose, str):
            greeting = remote.Greeting(remote.versions(), {"GPU": 1.0}, study.client.workers[whose])
            study.inbox.put((key, greeting))
    events += list(study._hear())
    for seat in study.seats:
        study._serve(seat)
    return events


def test_cells_of_a_lost_worker_go_to_others_and_only_the_one_at_work_is_held_against_it(study, selected):
    turn(study, a=1)
    (a,) = study.seats
    held = [cell.id for cell in a.cells.values()]
    assert len(held) == 2  # one at work, one ahead
    events = turn(study, b=1)
    assert [event.text for event in events] == ["worker tcp://a:1 is lost: 2 cells go to others"]
    (b,) = study.seats
    assert [cell.id for cell in b.cells.values()] == held
    assert dict(study.losses) == {held[0]: 1, held[1]: 0}
    turn(study, c=1)
    events = turn(study, d=1)
    done = [event for event in events if isinstance(event, Done)]
    assert [event.cell for event in done] == held[:1]
    assert done[0].record["reason"].startswith("the 3 workers that it was at work in were lost")
    assert done[0].record["solver"] == str(selected[0].solver)


def test_what_a_lost_worker_still_says_is_not_heard(study):
    turn(study, a=1)
    (key, cell), *_ = study.seats[0].cells.items()
    turn(study, b=1)
    study.inbox.put((key, [Done(cell.id, {"solver": "x"})]))
    assert list(study._hear()) == []


def test_greetings_of_workers_that_have_left_are_not_heard(study):
    """Nobody would sit there; one that has come back at that address is heard once."""
    study.client.workers = {"tcp://a:1": 1}
    list(study._muster())
    (key,) = study.flying
    assert turn(study, b=1) == []
    study.inbox.put((key, remote.Greeting(remote.versions(), {}, 1)))
    assert list(study._hear()) == []
    assert [seat.address for seat in study.seats] == ["tcp://b:1"]
    study.client.workers["tcp://a:1"] = 1
    list(study._muster())
    study.inbox.put((key, remote.Greeting(remote.versions(), {}, 1)))
    list(study._hear())
    turn(study, a=1, b=1)
    assert [seat.address for seat in study.seats] == ["tcp://b:1", "tcp://a:1"]


def test_workers_must_have_the_gpu_that_cells_need_but_for_those_that_get_none(study, selected):
    assert not study.gpu
    for cell in selected:
        cell.problem.spec = replace(cell.problem.spec, device="cuda")
    study.gpu = cluster._Study(Client(), selected, study.asked).gpu
    assert study.gpu
    without = remote.Greeting(remote.versions(), {}, 1, "torch sees no GPU")
    study.first, study.present = {"tcp://a:1"}, {"tcp://a:1", "tcp://late:1"}
    said = r"cannot use a GPU \(torch sees no GPU\), which --device cuda needs: .*--resources GPU=1"
    with pytest.raises(UsageError, match=f"worker tcp://a:1 {said}"):
        list(study._welcome("tcp://a:1", without))
    (event,) = study._welcome("tcp://late:1", without)
    assert re.search(f"worker tcp://late:1 is not used: it {said}", event.text)
    study.asked.resources = {"GPU": 1.0}
    assert list(study._welcome("tcp://a:1", without)) == []  # it has no such tag
    assert study.seats == []
    turn(study, b=2)
    assert [seat.address for seat in study.seats] == ["tcp://b:1"]
    assert [task.arguments for task in study.client.tasks if task.key.startswith("greet")] == [(True,)]  # asked of it


def test_a_worker_that_cannot_finish_cells_is_not_used_again(study):
    turn(study, a=1, b=1)
    seat = study.seats[0]
    study.inbox.put((next(iter(seat.cells)), SolverbenchError("worker processes do not start")))
    (event,) = study._hear()
    assert "failed (SolverbenchError: worker processes do not start): 2 cells go to others" in event.text
    assert seat not in study.seats
    study.inbox.put((next(iter(study.seats[0].cells)), SolverbenchError("nor here")))
    with pytest.raises(SolverbenchError, match="no worker is left"):
        list(study._hear())


def test_threads_are_seats_and_resources_narrow_them(study):
    turn(study, a=4)
    assert len(study.seats) == 4
    study.asked.resources = {"GPU": 0.5}
    turn(study, a=4, b=8)
    assert [seat.address for seat in study.seats].count("tcp://b:1") == 2
    study.asked.resources = {"GPU": 2.0}
    turn(study, a=4, b=8, c=8)
    assert {seat.address for seat in study.seats} == {"tcp://a:1", "tcp://b:1"}


def test_every_cell_is_sent_once_and_recorded_once_failed_or_not(study, selected):
    """Workers that answer at once; a solver that fails, or whose result is another cell's, is not tried again."""
    client, sent = study.client, []

    def submit(function, *arguments, **how):
        future = Client.submit(client, function, *arguments, **how)
        if function is remote.greet:
            study.inbox.put((future.key, remote.Greeting(remote.versions(), {}, 1)))
        if function is remote.finish:
            task = arguments[0].task
            sent.append(task.cell)
            record = task.asked | {"status": "failed" if task.solver == "heun" else "ok"}
            study.inbox.put((future.key, [Done(task.cell, record, fatal=task.solver == "ddpm")]))
        return future

    client.submit, client.workers = submit, {"tcp://a:1": 1, "tcp://b:1": 1}
    done = [event.cell for event in study.events() if isinstance(event, Done)]
    assert sorted(sent) == sorted(done) == sorted(cell.id for cell in selected)


def test_nobody_there_is_said_once(study):
    assert [type(event) for event in turn(study)] == [Notice]
    assert turn(study) == []


def test_a_late_worker_of_another_version_is_left_alone(study):
    turn(study, a=1)
    study.present = study.present | {"tcp://late:1"}
    other = remote.Greeting({**remote.versions(), "torch": "0.1"}, {}, 1)
    (event,) = study._welcome("tcp://late:1", other)
    assert event.text.startswith("worker tcp://late:1 is not used: it has torch 0.1 where this process has")


# --- what travels ---


@pytest.fixture
def room(tmp_path, monkeypatch):
    """Where parcels are unpacked, of a process that has none yet."""
    monkeypatch.setattr(luggage, "_room", lambda: tmp_path / "room")
    monkeypatch.setattr(luggage, "_unpacked", set())
    (tmp_path / "room").mkdir()
    return tmp_path / "room"


def write(folder, **texts):
    for name, text in texts.items():
        place = folder / f"{name}.py"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return folder


def test_files_travel_by_content(tmp_path, room):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    for name in ("deep/a", "deep/er/b", "numbers.npy"):
        (tmp_path / name).write_text(name)
    for name in ("deep", "numbers.npy"):
        parcel, content = luggage.pack(f"{tmp_path}/{name}", "run")
        place = Path(luggage.unpack(parcel, content))
        assert place.is_relative_to(room)
        assert luggage.unpack(parcel, content) == str(place)
    assert (room / luggage.pack(f"{tmp_path}/deep", "other")[0].digest / "deep/er/b").read_text() == "deep/er/b"
    with pytest.raises(ArtifactError, match="did not arrive as it was sent"):
        luggage.unpack(replace(parcel, digest="0" * 64), content)
    with pytest.raises(UsageError, match=r"absent.npy cannot be read and sent to workers: No such file"):
        luggage.pack(f"{tmp_path}/absent.npy", "run")


def test_programs_travel_with_the_modules_beside_them_that_they_import(tmp_path, room):
    """Two of one folder meet again, and what both import is one file; those of another folder and run are apart."""
    home = write(tmp_path / "home", mine="import common, extra.part", fields="def f():\n    import common", common="",
                 **{"extra/part": ""}, unused="")  # fmt: skip
    other = write(tmp_path / "other", mine="import common, extra.part", common="", **{"extra/part": ""})
    specs = [f"{home}/mine.py", f"{home}/fields.py:f", f"{other}/mine.py"]
    places = [Path(luggage.unpack(*luggage.pack(spec, "run"))) for spec in specs]
    assert [place.name for place in places] == ["mine.py", "fields.py", "mine.py"]
    assert places[0].parent == places[1].parent != places[2].parent
    names = sorted(path.relative_to(places[0].parent).as_posix() for path in places[0].parent.rglob("*.py"))
    assert names == ["common.py", "extra/part.py", "fields.py", "mine.py"]
    assert (places[2].parent / "common.py").exists()
    write(home, common="changed = 1")
    later, content = luggage.pack(f"{home}/mine.py", "run")
    with pytest.raises(ArtifactError, match=r"common.py, which goes with .*mine.py, was changed during the run"):
        luggage.unpack(later, content)
    assert Path(luggage.unpack(*luggage.pack(f"{home}/mine.py", "next"))).parent != places[0].parent


def test_what_cannot_travel_is_said(tmp_path, monkeypatch):
    write(tmp_path, mine="import fast", large="import extra.part", **{"extra/part": "#" * 2_000_000})
    (tmp_path / f"fast{EXTENSION_SUFFIXES[0]}").write_text("")
    with pytest.raises(UsageError, match=r"mine.py imports fast\..* is compiled and cannot be sent to workers"):
        luggage.pack(f"{tmp_path}/mine.py", "run")
    assert luggage.pack(f"{tmp_path}/large.py", "run") is not None
    monkeypatch.setattr(luggage, "MOST", 1)
    with pytest.raises(UsageError, match=r"large.py has 1 modules and files beside it of 2 MB, and 1 MB at most are"):
        luggage.pack(f"{tmp_path}/large.py", "run")


def test_files_that_a_program_names_travel_and_are_run_with_it(tmp_path, room):
    """Data that it reads, and a module that it imports by a name in a string."""
    named = 'FILES = ("numbers.txt", "deep/*.txt", "late.py")\nimport importlib, pathlib\n'
    reads = 'here = pathlib.Path(__file__)\nvalue = importlib.import_module("late").value'
    reads += ' + here.with_name("numbers.txt").read_text()'
    home = write(tmp_path / "home", mine=named + reads, late="value = 'late'", unused="")
    (home / "deep").mkdir()
    for name in ("numbers.txt", "deep/a.txt", "other.txt"):
        (home / name).write_text(name)
    there = Path(luggage.unpack(*luggage.pack(f"{home}/mine.py", "run")))
    files = {path.relative_to(there.parent).as_posix() for path in there.parent.rglob("*") if path.is_file()}
    assert files == {"mine.py", "late.py", "numbers.txt", "deep/a.txt"}
    for path in (home / "late.py", home / "numbers.txt"):
        path.unlink()
    assert run_file(there, "named_files").value == "latenumbers.txt"


def test_what_is_missing_at_a_worker_is_told_with_the_remedy():
    for kind in ("FileNotFoundError", "ModuleNotFoundError"):
        record = {"status": "failed", "reason": f"mine.py, line 3: {kind}: numbers.npy"}
        remote.explain(record)
        assert re.match(rf"mine.py, line 3: {kind}: numbers.npy: on a cluster, name .* in its FILES", record["reason"])
    for other in ({"status": "ok", "reason": None}, {"status": "failed", "reason": "ZeroDivisionError"}):
        remote.explain(record := dict(other))
        assert record == other


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ("'a.npy'", "FILES must be a tuple that is written out"),
        ("(open,)", "not open"),
        ("('/etc/hostname',)", "FILES may have names of files beside it, not '/etc/hostname'"),
        ("('absent.npy',)", "FILES names 'absent.npy', and no such file is beside it"),
        ("('../secret',)", "FILES may have names of files beside it, not '../secret'"),
    ],
)
def test_files_that_are_not_there_or_not_beside_it(tmp_path, files, message):
    (tmp_path / "secret").write_text("")
    home = write(tmp_path / "home", mine=f"FILES = {files}")
    with pytest.raises(UsageError, match=message):
        luggage.pack(f"{home}/mine.py", "run")


def test_what_ships_or_is_fetched_does_not_travel():
    for field in ("cifar10-gaussian", "cifar10-unet", "power-law", "https://a.b/c.npy#sha256=" + "0" * 64):
        assert luggage.pack(field, "run") is None


def test_paths_of_here_become_paths_of_there(selected):
    task = Desk(selected).task(selected[0])
    task = replace(task, files=("/home/m.py", "/home/other.py"), problem=replace(task.problem, field="f.py:g"))
    there = luggage.moved(task, {"/home/m.py": "/x/m.py", "f.py": "/y/f.py"})
    assert there.files == ("/x/m.py", "/home/other.py")
    assert there.problem.field == "/y/f.py:g"
    assert there.asked == task.asked
