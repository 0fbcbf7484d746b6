"""What four hospitals gain by training together, reckoned apart from the program that does it on the network.

    python3 data/heart/reference.py

Trains the same logistic regression with all rows in one place, at each hospital alone, and by federated averaging (McMahan et
al. 2017), and tries each model on the patients that all hospitals have held out. Python 3 and its standard library are all that
it takes. Where the package `wasmtime` is installed, it runs `algorithms/federated.wasm` as well, as the hospitals and their
aggregator would, and compares.
"""

import csv
import json
import math
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
MODULE = FOLDER.parent.parent / "algorithms" / "federated.wasm"
HOSPITALS = ["cleveland", "hungary", "switzerland", "va"]

# As `algorithms/federated/src/params.rs` has them.
FEATURES = [
    *["age", "sex", "chest_pain=1", "chest_pain=2", "chest_pain=3", "chest_pain=4", "resting_bp", "cholesterol"],
    *["high_sugar", "resting_ecg=1", "resting_ecg=2", "max_heart_rate", "exercise_angina", "st_depression"],
    *["st_slope=2", "st_slope=3", "vessels", "thal=6", "thal=7", "cholesterol?", "st_slope?", "vessels?", "thal?"],
]
ROUNDS, EPOCHS, LEARNING_RATE, L2, MIN_ROWS = 10, 10, 0.5, 0.03, 10


def feature(row, name):
    if name.endswith("?"):
        return float(row[name[:-1]] == "")
    column, _, code = name.partition("=")
    if row[column] == "":
        return None
    return float(float(row[column]) == float(code)) if code else float(row[column])


def load(hospital):
    """Rows for training and rows held out, each a list of pairs: features, label."""
    training, held_out = [], []
    with open(FOLDER / f"{hospital}.csv", newline="") as file:
        for row in csv.DictReader(file):
            values = [feature(row, name) for name in FEATURES]
            (held_out if row["held_out"] == "1" else training).append((values, float(row["disease"])))
    return training, held_out


def summarize(sites):
    """Means and deviations over the rows of all sites."""
    mean, deviation = [], []
    for index in range(len(FEATURES)):
        values = []
        for rows in sites:
            had = [row[index] for row, _ in rows if row[index] is not None]
            values += had if len(had) >= MIN_ROWS else []
        average = sum(values) / len(values) if values else 0.0
        variance = sum(value * value for value in values) / len(values) - average**2 if values else 0.0
        mean.append(average)
        deviation.append(math.sqrt(variance) if variance > 1e-9 else 1.0)
    return mean, deviation


def standardize(rows, mean, deviation):
    """Features of mean 0 and deviation 1 with a constant before them, which the intercept is the weight of."""
    scale = lambda values: [0.0 if v is None else (v - m) / d for v, m, d in zip(values, mean, deviation)]
    return [([1.0] + scale(values), label) for values, label in rows]


def probability(weights, values):
    log_odds = sum(weight * value for weight, value in zip(weights, values))
    return 1 / (1 + math.exp(-log_odds)) if log_odds >= 0 else math.exp(log_odds) / (1 + math.exp(log_odds))


def gradient(rows, weights):
    total = [0.0] * len(weights)
    for values, label in rows:
        error = probability(weights, values) - label
        for index, value in enumerate(values):
            total[index] += error * value
    return [t / len(rows) + (L2 * w if i else 0.0) for i, (t, w) in enumerate(zip(total, weights))]


def minimum(rows):
    """The weights of least loss, by Newton's method."""
    weights = [0.0] * (len(FEATURES) + 1)
    for _ in range(25):
        slope = gradient(rows, weights)
        matrix = [[1e-9 if i == j == 0 else L2 if i == j else 0.0 for j in range(len(weights))] for i in range(len(weights))]
        for values, _ in rows:
            p = probability(weights, values)
            for i, value in enumerate(values):
                factor = p * (1 - p) * value / len(rows)
                matrix[i] = [entry + factor * other for entry, other in zip(matrix[i], values)]
        weights = [weight - step for weight, step in zip(weights, solve(matrix, slope))]
    return weights


def solve(matrix, right):
    """Gaussian elimination; the matrix is positive definite."""
    rows = [row + [value] for row, value in zip(matrix, right)]
    for i in range(len(rows)):
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for j in range(len(rows)):
            if j != i:
                rows[j] = [a - rows[j][i] * b for a, b in zip(rows[j], rows[i])]
    return [row[-1] for row in rows]


def federated(sites):
    weights = [0.0] * (len(FEATURES) + 1)
    total = sum(len(rows) for rows in sites)
    for _ in range(ROUNDS):
        average = [0.0] * len(weights)
        for rows in sites:
            local = weights
            for _ in range(EPOCHS):
                local = [weight - LEARNING_RATE * slope for weight, slope in zip(local, gradient(rows, local))]
            average = [a + len(rows) / total * weight for a, weight in zip(average, local)]
        weights = average
    return weights


def scores(rows, weights):
    """Accuracy and area under the ROC curve."""
    predicted = [(probability(weights, values), label) for values, label in rows]
    correct = sum((p >= 0.5) == (label == 1) for p, label in predicted)
    ill = [p for p, label in predicted if label == 1]
    healthy = [p for p, label in predicted if label == 0]
    higher = sum((p > other) + (p == other) / 2 for p in ill for other in healthy)
    return correct / len(rows), higher / (len(ill) * len(healthy))


def run_module():
    """The module's model and scores; each step runs at each hospital, then at the aggregator."""
    from wasmtime import Engine, ExitTrap, Linker, Module, Store, WasiConfig

    engine = Engine()
    linker = Linker(engine)
    linker.define_wasi()
    module = Module.from_file(engine, str(MODULE))

    def run(params, files):
        with tempfile.TemporaryDirectory() as folder:
            data, out = Path(folder) / "data", Path(folder) / "out"
            data.mkdir()
            out.mkdir()
            (data / "params.json").write_text(json.dumps(params))
            for name, content in files.items():
                (data / name).write_text(content)
            wasi = WasiConfig()
            wasi.inherit_stderr()
            wasi.preopen_dir(str(data), "/data")
            wasi.preopen_dir(str(out), "/out")
            store = Store(engine)
            store.set_wasi(wasi)
            try:
                linker.instantiate(store, module).exports(store)["_start"](store)
            except ExitTrap as trap:
                if trap.code != 0:
                    raise
            return (out / "result.json").read_text()

    def everywhere(params):
        results = {
            f"{hospital}.json": run(params, {"table.csv": (FOLDER / f"{hospital}.csv").read_text()})
            for hospital in HOSPITALS
        }
        return json.loads(run({"step": "combine"}, results))

    model = everywhere({"step": "summarize"})
    for _ in range(ROUNDS):
        model = everywhere({"step": "train", "model": model})
    return model, everywhere({"step": "evaluate", "model": model})


def main():
    loaded = [load(hospital) for hospital in HOSPITALS]
    training, held_out = [rows for rows, _ in loaded], [row for _, rows in loaded for row in rows]
    print(f"{sum(map(len, training))} patients to train on, {len(held_out)} held out\n")
    print("                            accuracy     AUC")
    show = lambda name, accuracy, auc: print(f"{name:<26} {accuracy:8.1%} {auc:9.4f}")

    for hospital, rows in zip(HOSPITALS, training):
        scale = summarize([rows])
        show(f"{hospital} alone", *scores(standardize(held_out, *scale), minimum(standardize(rows, *scale))))
    scale = summarize(training)
    test = standardize(held_out, *scale)
    sites = [standardize(rows, *scale) for rows in training]
    show("all rows in one place", *scores(test, minimum([row for rows in sites for row in rows])))
    weights = federated(sites)
    show(f"federated, {ROUNDS} rounds", *scores(test, weights))

    try:
        model, found = run_module()
    except ImportError:
        print("\nNot tried: algorithms/federated.wasm, for Python's package wasmtime is not installed.")
        return
    show("federated, the module", found["accuracy"], found["auc"])
    apart = max(abs(a - b) for a, b in zip([model["intercept"]] + model["weights"], weights))
    print(f"\nThe module's weights differ from those reckoned here by {apart:.1e} at most; its AUC is reckoned from 20 bins.")
    assert apart < 1e-9


if __name__ == "__main__":
    main()
