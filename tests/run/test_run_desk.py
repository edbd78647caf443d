"""The desk, what it hands to whom; and what becomes of cells whose worker of a cluster is lost, without a cluster."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from solverbench.errors import ArtifactError, SolverbenchError
from solverbench.problems.base import ProblemSpec
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


def test_files_travel_by_content_and_tasks_are_told_where_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(luggage, "_room", lambda: tmp_path / "room")
    (tmp_path / "room").mkdir()
    (tmp_path / "deep" / "er").mkdir(parents=True)
    for name in ("mine.py", "deep/a", "deep/er/b"):
        (tmp_path / name).write_text(name)
    spec = ProblemSpec("a", f"{tmp_path}/mine.py:field", "law")
    task = SimpleNamespace(problem=spec, files=(f"{tmp_path}/mine.py",))
    assert luggage.needed(task) == [(f"{tmp_path}/mine.py", (tmp_path / "mine.py",))] * 2
    for path, files in ((f"{tmp_path}/mine.py", [tmp_path / "mine.py"]), (f"{tmp_path}/deep", None)):
        parcel, content = luggage.pack(path, files or [tmp_path / "deep/a", tmp_path / "deep/er/b"])
        place = luggage.unpack(parcel, content)
        assert place != path
        assert luggage.unpack(parcel, content) == place
        if files is None:
            assert (tmp_path / place / "er" / "b").read_text() == "deep/er/b"
    with pytest.raises(ArtifactError, match="did not arrive as it was sent"):
        luggage.unpack(luggage.Parcel("x", "x", "0" * 64), content)


def test_what_ships_or_is_fetched_does_not_travel():
    for field in ("cifar10-gaussian", "cifar10-unet", "power-law", "https://a.b/c.npy#sha256=" + "0" * 64):
        assert luggage.needed(SimpleNamespace(problem=ProblemSpec("a", field, "law"), files=())) == []


def test_paths_of_here_become_paths_of_there(selected):
    task = Desk(selected).task(selected[0])
    task = replace(task, files=("/home/m.py", "/home/other.py"), problem=replace(task.problem, field="f.py:g"))
    there = luggage.moved(task, {"/home/m.py": "/x/m.py", "f.py": "/y/f.py"})
    assert there.files == ("/x/m.py", "/home/other.py")
    assert there.problem.field == "/y/f.py:g"
    assert there.asked == task.asked
