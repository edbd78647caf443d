"""A pickle machine that cannot run anything: it builds plain values and calls only functions it was given.

Python's own unpickler can be restricted too, but it sets attributes of whatever a file builds, and it allocates what a
file announces before looking whether it is there. This one knows the opcodes that pickles of protocol 2 to 4 of plain
objects consist of, refuses every other, reads nothing past the end, and counts its steps. Bytes are views, not copies.

Source: the opcode list of PEP 307, PEP 3154 and Python's documentation of pickletools.
"""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

STEPS = 1_000_000
"""Opcodes that one file may take; the largest EDM network takes about a tenth."""
LONG = 64
"""Bytes of a whole number."""
NAMES = {op.code.encode("latin1")[0]: op.name for op in pickletools.opcodes}
_KEYS = (str, int, float, type(None))

Admitted: TypeAlias = Mapping[tuple[str, str], Callable[..., object]]


class RefusedError(Exception):
    """The file is damaged, or asks for what it may not."""


@dataclass(eq=False)
class Record:
    """An inert stand-in for an object: what it is, what it was made of and, once given, its state."""

    kind: str
    content: Any = None
    state: Any = None


@dataclass
class Budget:
    """What may be spent yet, shared by all machines that read one file."""

    steps: int = STEPS
    copied: int = 0
    """Bytes that may be copied."""


@dataclass(eq=False)
class Machine:
    """Reads pickles one after another out of `content`, which must not change; `at` is where the next one begins.

    admitted: what global names stand for; they are called, by REDUCE and NEWOBJ, with what the file gives.
    persistent: answers persistent ids; without it they are refused.
    """

    content: memoryview
    admitted: Admitted
    budget: Budget
    persistent: Callable[[Any], object] | None = None
    at: int = 0
    stack: list[Any] = field(default_factory=list)
    below: list[list[Any]] = field(default_factory=list)
    """Stacks under the marks."""
    memo: dict[int, Any] = field(default_factory=dict)

    def load(self) -> Any:
        """The next value. Raises RefusedError, and IndexError, TypeError, ValueError and their kin on damaged ones."""
        self.stack, self.below, self.memo = [], [], {}
        while True:
            self.budget.steps -= 1
            if self.budget.steps < 0:
                raise RefusedError(f"it takes more than {STEPS:,} steps to read")
            code = self.take(1)[0]
            if code == 0x2E:  # STOP
                value = self.pop()
                if self.stack or self.below:
                    raise RefusedError("it ends in the middle of a value")
                return value
            if code not in _STEPS:
                name = NAMES.get(code, f"0x{code:02x}")
                raise RefusedError(f"it uses the pickle opcode {name}, which no EDM network needs")
            _STEPS[code](self)

    # --- input --------------------------------------------------------------------------------------------------------

    def take(self, count: int) -> memoryview:
        """The next `count` bytes."""
        if not 0 <= count <= len(self.content) - self.at:
            raise RefusedError(f"it announces {count:,} bytes where {len(self.content) - self.at:,} are left")
        self.at += count
        return self.content[self.at - count : self.at]

    def number(self, form: str) -> Any:
        """A number in the notation of `struct`."""
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def counted(self, form: str) -> memoryview:
        """Bytes after their count."""
        return self.take(self.number(form))

    def text(self, form: str) -> str:
        """A string after its count."""
        return str(self.counted(form), "utf-8")

    def line(self) -> str:
        """A short string that a newline ends."""
        head, newline, _ = bytes(self.content[self.at : self.at + 256]).partition(b"\n")
        if not newline:
            raise RefusedError("a global name in it does not end")
        self.at += len(head) + 1
        return head.decode("utf-8")

    # --- stack --------------------------------------------------------------------------------------------------------

    def push(self, value: object) -> None:
        """Put a value on the stack."""
        self.stack.append(value)

    def pop(self) -> Any:
        """Take a value that lies above the last mark."""
        if not self.stack:
            raise RefusedError("it takes more values than it has made")
        return self.stack.pop()

    def popped(self, count: int) -> tuple[Any, ...]:
        """Take `count` values, the oldest first."""
        return tuple(self.pop() for _ in range(count))[::-1]

    def mark(self) -> None:
        """Begin a new stack."""
        self.below.append(self.stack)
        self.stack = []

    def marked(self) -> list[Any]:
        """Take everything above the last mark, and the mark."""
        if not self.below:
            raise RefusedError("it ends a list that it has not begun")
        values, self.stack = self.stack, self.below.pop()
        return values

    def top(self, kind: type) -> Any:
        """The last value, which must be exactly of `kind`."""
        if not self.stack or type(self.stack[-1]) is not kind:
            raise RefusedError(f"it fills a {kind.__name__} that is none")
        return self.stack[-1]

    # --- steps --------------------------------------------------------------------------------------------------------

    def protocol(self) -> None:
        """PROTO."""
        version = self.number("B")
        if not 2 <= version <= 5:
            raise RefusedError(f"it is a pickle of protocol {version}")

    def frame(self) -> None:
        """FRAME: only its length is looked at."""
        length = self.number("<Q")
        if length > len(self.content) - self.at:
            raise RefusedError(f"it announces {length:,} bytes where {len(self.content) - self.at:,} are left")

    def long(self, form: str) -> None:
        """LONG1, LONG4."""
        count = self.number(form)
        if not 0 <= count <= LONG:
            raise RefusedError(f"it has a whole number of {count:,} bytes")
        self.push(int.from_bytes(self.take(count), "little", signed=True))

    def extend(self, values: list[Any]) -> None:
        """APPEND, APPENDS."""
        self.top(list).extend(values)

    def update(self, values: list[Any]) -> None:
        """SETITEM, SETITEMS."""
        self.top(dict).update(pairs(values))

    def get(self, index: int) -> None:
        """BINGET, LONG_BINGET."""
        if index not in self.memo:
            raise RefusedError(f"it refers to value {index}, which it has not made")
        self.push(self.memo[index])

    def put(self, index: int) -> None:
        """BINPUT, LONG_BINPUT, MEMOIZE."""
        if not self.stack:
            raise RefusedError("it stores a value before it has made one")
        self.memo[index] = self.stack[-1]

    def find(self, module: object, name: object) -> None:
        """GLOBAL, STACK_GLOBAL: nothing is imported."""
        if not isinstance(module, str) or not isinstance(name, str):
            raise RefusedError("a global name in it is no string")
        if (module, name) not in self.admitted:
            raise RefusedError(f"it asks for {module[:80]}.{name[:80]}, which no EDM network needs")
        self.push(_Global(f"{module}.{name}", self.admitted[module, name]))

    def call(self) -> None:
        """REDUCE, NEWOBJ."""
        function, arguments = self.popped(2)
        if type(function) is not _Global or type(arguments) is not tuple:
            raise RefusedError("it calls what is no admitted name")
        try:
            self.push(function.stands_for(*arguments))
        except TypeError as error:
            raise RefusedError(f"it calls {function.name} with wrong arguments") from error

    def build(self) -> None:
        """BUILD: the state is kept, once, and nothing looks at it."""
        state = self.pop()
        record = self.top(Record)
        if record.state is not None:
            raise RefusedError(f"it sets the state of a {record.kind} twice")
        record.state = state

    def persist(self) -> None:
        """BINPERSID."""
        if self.persistent is None:
            raise RefusedError("it uses the pickle opcode BINPERSID, which no EDM network needs here")
        self.push(self.persistent(self.pop()))


@dataclass(frozen=True, eq=False)
class _Global:
    name: str
    stands_for: Callable[..., object]


def name_of(value: object) -> str:
    """The full name, if the value is a global name and nothing else; else an empty string."""
    return value.name if type(value) is _Global else ""


def pairs(values: list[Any]) -> dict[Any, Any]:
    """Keys and values in turn as a dict; keys must be plain."""
    if len(values) % 2:
        raise RefusedError("it has a key without a value")
    for key in values[::2]:
        if type(key) not in (*_KEYS, bool):
            raise RefusedError("it has a dictionary whose keys are not plain")
    return dict(zip(values[::2], values[1::2], strict=True))


def plain_set(values: list[Any]) -> set[Any]:
    """The values as a set, if they are plain."""
    return set(pairs([part for value in values for part in (value, None)]))


_STEPS: dict[int, Callable[[Machine], object]] = {
    ord("("): Machine.mark,
    ord("0"): Machine.pop,
    ord("1"): Machine.marked,
    ord("N"): lambda m: m.push(None),
    0x88: lambda m: m.push(True),
    0x89: lambda m: m.push(False),
    ord("J"): lambda m: m.push(m.number("<i")),
    ord("K"): lambda m: m.push(m.number("B")),
    ord("M"): lambda m: m.push(m.number("<H")),
    0x8A: lambda m: m.long("B"),
    0x8B: lambda m: m.long("<i"),
    ord("G"): lambda m: m.push(m.number(">d")),
    ord("X"): lambda m: m.push(m.text("<I")),
    0x8C: lambda m: m.push(m.text("B")),
    0x8D: lambda m: m.push(m.text("<Q")),
    ord("B"): lambda m: m.push(m.counted("<I")),
    ord("C"): lambda m: m.push(m.counted("B")),
    0x8E: lambda m: m.push(m.counted("<Q")),
    ord("]"): lambda m: m.push([]),
    ord("}"): lambda m: m.push({}),
    ord(")"): lambda m: m.push(()),
    ord("l"): lambda m: m.push(m.marked()),
    ord("d"): lambda m: m.push(pairs(m.marked())),
    ord("t"): lambda m: m.push(tuple(m.marked())),
    0x85: lambda m: m.push(m.popped(1)),
    0x86: lambda m: m.push(m.popped(2)),
    0x87: lambda m: m.push(m.popped(3)),
    0x8F: lambda m: m.push(set()),
    0x91: lambda m: m.push(frozenset(plain_set(m.marked()))),
    ord("a"): lambda m: m.extend([m.pop()]),
    ord("e"): lambda m: m.extend(m.marked()),
    ord("s"): lambda m: m.update(list(m.popped(2))),
    ord("u"): lambda m: m.update(m.marked()),
    0x90: lambda m: _add(m, m.marked()),
    0x94: lambda m: m.put(len(m.memo)),
    ord("q"): lambda m: m.put(m.number("B")),
    ord("r"): lambda m: m.put(m.number("<I")),
    ord("h"): lambda m: m.get(m.number("B")),
    ord("j"): lambda m: m.get(m.number("<I")),
    ord("c"): lambda m: m.find(m.line(), m.line()),
    0x93: lambda m: m.find(*m.popped(2)),
    ord("R"): Machine.call,
    0x81: Machine.call,
    ord("b"): Machine.build,
    ord("Q"): Machine.persist,
    0x80: Machine.protocol,
    0x95: Machine.frame,
}


def _add(machine: Machine, values: list[Any]) -> None:
    machine.top(set).update(plain_set(values))
