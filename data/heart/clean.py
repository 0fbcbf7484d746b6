"""Makes the four hospitals' files from one copy of the UCI heart disease data.

    python3 data/heart/clean.py heart_disease_uci.csv

Which copy that is, where to get it and what is changed: README.md. The same input gives the same files, byte for byte.
Python 3 and its standard library are all that it takes.
"""

import csv
import hashlib
import io
import sys
from pathlib import Path

SHA256 = "574f2fa2b43012fa25fca4fcdb36bd7c6bccdd0af4242f6c0e4c8633c5a072ae"

# What the input calls the hospitals, our files, and how many rows UCI has.
HOSPITALS = {
    "Cleveland": ("cleveland.csv", 303),
    "Hungary": ("hungary.csv", 294),
    "Switzerland": ("switzerland.csv", 123),
    "VA Long Beach": ("va.csv", 200),
}

# The input has this one row of Hungary's, by its `id`, under Cleveland.
MISPLACED = {"304": "Hungary"}

BOOLEAN = {"FALSE": "0", "TRUE": "1"}

# Our column, the input's, and the codes of its words (UCI's own codes); None where the input has numbers.
COLUMNS = [
    ("age", "age", None),
    ("sex", "sex", {"Female": "0", "Male": "1"}),
    (
        "chest_pain",
        "cp",
        {"typical angina": "1", "atypical angina": "2", "non-anginal": "3", "asymptomatic": "4"},
    ),
    ("resting_bp", "trestbps", None),
    ("cholesterol", "chol", None),
    ("high_sugar", "fbs", BOOLEAN),
    ("resting_ecg", "restecg", {"normal": "0", "st-t abnormality": "1", "lv hypertrophy": "2"}),
    ("max_heart_rate", "thalch", None),
    ("exercise_angina", "exang", BOOLEAN),
    ("st_depression", "oldpeak", None),
    ("st_slope", "slope", {"upsloping": "1", "flat": "2", "downsloping": "3"}),
    ("vessels", "ca", None),
    ("thal", "thal", {"normal": "3", "fixed defect": "6", "reversable defect": "7"}),
]

# Nobody alive has these; in the input they stand for values that were not taken.
IMPOSSIBLE = {("resting_bp", "0"), ("cholesterol", "0")}

HELD_OUT_PERCENT = 30


def number(text):
    """The shortest way to write a number: 145, 2.3."""
    value = float(text)
    return str(int(value)) if value == int(value) else repr(value)


def patient(row):
    """A row of the input as our columns without `held_out`; what is missing is empty."""
    values = []
    for ours, theirs, codes in COLUMNS:
        text = row[theirs]
        value = "" if text == "" else number(text) if codes is None else codes[text]
        values.append("" if (ours, value) in IMPOSSIBLE else value)
    # `num` counts narrowed vessels, 0 to 4: some or none is what all hospitals have recorded alike.
    values.append("0" if row["num"] == "0" else "1")
    return tuple(values)


def held_out(file, rows):
    """The rows that are for testing: of the ill and of the healthy each those 30 % whose hash is smallest.

    It follows from the rows alone, so that it is the same for everybody.
    """
    chosen = set()
    for disease in "01":
        same = [row for row in rows if row[-1] == disease]
        same.sort(key=lambda row: hashlib.sha256((file + ":" + ",".join(row)).encode()).digest())
        chosen.update(same[: round(len(same) * HELD_OUT_PERCENT / 100)])
    return chosen


def main(source):
    content = Path(source).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        sys.exit(f"{source} is another file: SHA-256 {found}, expected {SHA256}")
    hospitals = {name: [] for name in HOSPITALS}
    for row in csv.DictReader(io.StringIO(content.decode("ascii"))):
        hospitals[MISPLACED.get(row["id"], row["dataset"])].append(patient(row))

    folder = Path(__file__).resolve().parent
    print("file             rows  twice  disease  held out  of these disease")
    for name, (file, expected) in HOSPITALS.items():
        rows = hospitals[name]
        if len(rows) != expected:
            sys.exit(f"{name} has {len(rows)} rows, expected {expected}")
        once = list(dict.fromkeys(rows))
        chosen = held_out(file, once)
        split = [row + ("1" if row in chosen else "0",) for row in once]
        with open(folder / file, "w", encoding="ascii", newline="") as out:
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow([ours for ours, _, _ in COLUMNS] + ["disease", "held_out"])
            writer.writerows(split)
        disease = sum(row[-2] == "1" for row in split)
        test = [row for row in split if row[-1] == "1"]
        ill = sum(row[-2] == "1" for row in test)
        print(f"{file:<16} {len(once):4} {len(rows) - len(once):6} {disease:8} {len(test):9} {ill:17}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
