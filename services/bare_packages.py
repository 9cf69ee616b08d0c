"""What a process does not load of the libraries it uses: it holds what it runs and no more.

Some packages load everything they have as soon as one of their modules is wanted. The Agents SDK needs the class of MCP's errors,
and MCP's package brings its servers, a web framework and a cryptography library along: some 20 MB of a worker that runs none of
them. Nothing is lost by it: whoever wants more of such a package than a module by its full name makes it load as it always does,
at that moment.
"""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


def make_bare(*names: str) -> None:
    """Let modules of these packages be imported without the package around them. One that is loaded already stays as it is."""
    for name in names:
        if name not in sys.modules:
            sys.modules[name] = package = _bare(name)
            parent, _, child = name.rpartition(".")
            if parent:
                setattr(sys.modules[parent], child, package)


@contextmanager
def doing_without(*names: str) -> Iterator[None]:
    """Packages that are not there for what is loaded within the block: libraries do without what they can do without."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None is how Python is told that there is no such module
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def _bare(name: str) -> ModuleType:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"There is no package {name!r}.", name=name)
    package, loader = importlib.util.module_from_spec(spec), spec.loader

    def load(wanted: str) -> Any:
        # The import system and debuggers look for dunders; those say nothing about what is wanted of the package.
        if wanted.startswith("__"):
            raise AttributeError(f"module {name!r} has no attribute {wanted!r}")
        if importlib.util.find_spec(f"{name}.{wanted}") is not None:
            return importlib.import_module(f"{name}.{wanted}")
        package.__dict__.pop("__getattr__", None)
        loader.exec_module(package)
        return getattr(package, wanted)

    package.__dict__["__getattr__"] = load
    return package
