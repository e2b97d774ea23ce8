"""Load a definition file: a Python file that binds `stack`. Whatever it raises gets its line and one message."""

from __future__ import annotations

import difflib
import importlib.util
import sys
import traceback
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import slo
from slo.errors import LoadError, SLOError
from slo.model import Stack

OUR_PACKAGES = ("slo", "alerts", "dashboards", "exporters")


def load(path: Path) -> Stack:
    """The `stack` a definition file binds.

    A folder is read as its `slos.py`. The file's folder is appended to the import path, so it may import its
    neighbours, which can never stand in for a package of ours. Raises LoadError.
    """
    file = path / "slos.py" if path.is_dir() else path
    if not file.is_file():
        raise LoadError(f"{file}: no such definition file; `slo init {path}` writes one to start from")
    folder = file.resolve().parent
    ours = Path(slo.__file__).resolve().parent.parent
    for name in OUR_PACKAGES:
        if (
            folder != ours
            and ((folder / name / "__init__.py").exists() or (folder / f"{name}.py").exists())
            and folder != ours / name
        ):
            raise LoadError(
                f"{folder / name}: a definition folder must not hold a module named {name!r}, which is ours: rename it"
            )
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    spec = importlib.util.spec_from_file_location("_slo_definitions", file)
    if spec is None or spec.loader is None:
        raise LoadError(f"{file}: not a Python file; name it with .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["_slo_definitions"] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        line = f":{error.lineno}" if error.lineno else ""
        raise LoadError(f"{error.filename or file}{line}: {error.msg}") from None
    except (Exception, SystemExit) as error:
        raise LoadError(explain(error, file)) from None
    stack = getattr(module, "stack", None)
    if not isinstance(stack, Stack):
        found = "binds no `stack`" if stack is None else f"binds `stack` to a {type(stack).__name__}"
        raise LoadError(f"{file}: {found}: end it with stack = Stack(name=..., slos=[...])")
    return stack


def explain(error: BaseException, file: Path) -> str:
    """`file:line: message` for anything a definition raises; the line is the deepest one outside our own code."""
    ours = str(Path(slo.__file__).resolve().parent)
    place = str(file)
    for frame in traceback.extract_tb(error.__traceback__):
        name = frame.filename
        if name.startswith(("<", ours)) or "importlib" in name or "pydantic" in name:
            continue
        place = f"{name}:{frame.lineno}"
    if isinstance(error, ValidationError):
        return f"{place}: {'; '.join(_sentence(error.title, e) for e in error.errors())}"
    if isinstance(error, SLOError):
        return f"{place}: {error}"
    return f"{place}: {type(error).__name__}: {error}"


def _sentence(model: str, error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    name = f"{model}({where})" if where else model
    if error["type"] == "extra_forbidden":
        known = list(getattr(getattr(slo, model, None), "model_fields", {}))
        close = difflib.get_close_matches(str(error["loc"][-1]), known, 1)
        remedy = f"did you mean {close[0]}=?" if close else f"it takes {', '.join(known)}"
        return f"{model} has no field {error['loc'][-1]!r}: {remedy}"
    if error["type"] == "missing":
        return f"{model} needs {where}=: add it"
    return f"{name}: {error['msg'].removeprefix('Value error, ')}"
