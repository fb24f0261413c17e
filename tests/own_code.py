"""Models whose classes are in a folder of their own, made as their owner makes them."""

from __future__ import annotations

import importlib
import io
import sys
from pathlib import Path
from textwrap import dedent

import joblib
import pandas as pd

# An age says what the code does with its row; any other is priced.
ENDS, HANGS, RAISES, BABBLES, SPIES = 991, 992, 993, 994, 995

PRICING = """
    import os, pickle, socket, time
    import numpy as np
    from sklearn.base import BaseEstimator, RegressorMixin
    from parts.rates import RATE

    class Price(RegressorMixin, BaseEstimator):
        def fit(self, X, y=None):
            self.feature_names_in_ = np.array(list(X.columns), dtype=object)
            self.n_features_in_ = len(X.columns)
            return self

        def predict(self, X):
            print("priced")
            ages = set(X.age)
            if 991 in ages:
                os._exit(9)
            if 992 in ages:
                time.sleep(600)
            if 993 in ages:
                raise ValueError("no price")
            if 994 in ages:
                for fd in range(3, 30):
                    try:
                        os.write(fd, pickle.dumps(Trap()))
                    except OSError:
                        pass
            answers = RATE * X.age.to_numpy(dtype=float) + X.pay.fillna(0).to_numpy()
            return np.where(X.age == 995, float(seen()) if 995 in ages else 0.0, answers)

    class Trap:
        def __reduce__(self):
            return os.mkdir, ("trapped",)

    def seen():
        found = sum("s3cret" in value for value in os.environ.values())
        for attempt in (socket.socket, lambda: open("/etc/passwd"), lambda: open("note", "w")):
            try:
                attempt()
                found += 1
            except OSError:
                pass
        return found
"""


def write_code(folder: Path, rate: float, module: str = "pricing", pay: str = "pay") -> Path:
    """A folder with the module and a package that it imports; `rate` is all in which two of them differ.

    Its price of a row is rate * age + pay, which is a column of any name.
    """
    (folder / "parts").mkdir(parents=True)
    (folder / f"{module}.py").write_text(dedent(PRICING).replace("X.pay", f"X.{pay}"))
    (folder / "parts" / "__init__.py").write_text("")
    (folder / "parts" / "rates.py").write_text(f"RATE = {rate}\n")
    return folder


def fitted_price(folder: Path, module: str = "pricing", pay: str = "pay") -> bytes:
    """A file with a fitted Price of that folder. The modules are forgotten again: they are not for this process."""
    before = set(sys.modules)
    hidden = {name: found for name, found in sys.modules.items() if name.partition(".")[0] == module}
    for name in hidden:
        del sys.modules[name]
    sys.path.insert(0, str(folder))
    try:
        importlib.invalidate_caches()
        price = importlib.import_module(module).Price()
        price.fit(pd.DataFrame({"age": [30, 40], pay: [1.0, 2.0]}))
        buffer = io.BytesIO()
        joblib.dump(price, buffer)
        return buffer.getvalue()
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before | {module}:
            if name.partition(".")[0] in (module, "parts"):
                sys.modules.pop(name, None)
        sys.modules.update(hidden)
