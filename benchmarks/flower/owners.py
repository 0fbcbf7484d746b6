"""The owners' tables, as the workers of the simulation read them."""

import csv
import functools
from pathlib import Path

import numpy as np

# As `algorithms/federated/src/params.rs` has them.
FEATURES = [
    *["age", "sex", "chest_pain=1", "chest_pain=2", "chest_pain=3", "chest_pain=4", "resting_bp", "cholesterol"],
    *["high_sugar", "resting_ecg=1", "resting_ecg=2", "max_heart_rate", "exercise_angina", "st_depression"],
    *["st_slope=2", "st_slope=3", "vessels", "thal=6", "thal=7", "cholesterol?", "st_slope?", "vessels?", "thal?"],
]


def feature(columns, name):
    if name.endswith("?"):
        return np.isnan(columns[name[:-1]]).astype(float)
    column, _, code = name.partition("=")
    values = columns[column]
    return np.where(np.isnan(values), np.nan, values == float(code)) if code else values


def read(file):
    """Features of the rows for training and of those held out, each with labels."""
    with open(file, newline="") as text:
        header, *rows = csv.reader(text)
    values = np.array([[float(value) if value else np.nan for value in row] for row in rows])
    columns = {name: values[:, index] for index, name in enumerate(header)}
    features = np.stack([feature(columns, name) for name in FEATURES], axis=1)
    held_out = columns["held_out"] == 1
    return [(features[which], columns["disease"][which]) for which in (~held_out, held_out)]


def standardize(features, mean, deviation):
    """Features of mean 0 and deviation 1 with a constant before them, which the intercept is the weight of."""
    scaled = np.nan_to_num((features - mean) / deviation, nan=0.0)
    return np.hstack([np.ones((len(scaled), 1)), scaled])


def prepare(folder):
    """Writes what each owner's worker reads, standardised over all rows."""
    tables = [read(file) for file in sorted(folder.glob("*.csv"))]
    training = np.concatenate([train[0] for train, _ in tables])
    mean, deviation = np.nanmean(training, axis=0), np.nanstd(training, axis=0)
    deviation = np.where(deviation > 1e-9, deviation, 1.0)
    prepared = folder / "prepared"
    prepared.mkdir(exist_ok=True)
    for number, parts in enumerate(tables):
        arrays = {}
        for name, (features, labels) in zip(("train", "test"), parts):
            arrays[name], arrays[f"{name}_labels"] = standardize(features, mean, deviation), labels
        np.savez(prepared / f"{number}.npz", **arrays)
    return len(tables)


@functools.cache
def owner(folder, number):
    """What an owner has; a process reads it once."""
    with np.load(Path(folder) / "prepared" / f"{number}.npz") as arrays:
        return dict(arrays)
