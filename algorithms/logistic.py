#!/usr/bin/env python3
"""Fits a logistic regression to a table with scikit-learn, and counts how many of the rows that were held out it tells right.

Sees one CSV under /data, and /data/params.json: {"target": the column to tell, 0 or 1; "held_out": the column that is 1 for rows
to test on, else 0}. Refuses fewer than ten rows to learn from or to test on, whatever columns are named. Leaves
/out/result.json: {"rows": rows it learnt from, "count": rows it was tested on, "correct": of them, "weights": one for each column in
alphabetical order, of standardized values, "intercept": number}.
"""

import glob
import json
import sys

import pandas
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

MIN_ROWS = 10

with open("/data/params.json") as file:
    params = json.load(file)
(table,) = glob.glob("/data/*.csv")
rows = pandas.read_csv(table)
target, held_out = rows.pop(params["target"]), rows.pop(params["held_out"])
for name, column in (("target", target), ("held_out", held_out)):
    if not column.isin((0, 1)).all():
        sys.exit(f"{name} is a column with something else than 0 and 1")
held_out = held_out == 1
for purpose, count in (("learn from", (~held_out).sum()), ("test on", held_out.sum())):
    if count < MIN_ROWS:
        sys.exit(f"fewer than {MIN_ROWS} rows to {purpose}")
rows = rows[sorted(rows.columns)]

model = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler(), LogisticRegression())
model.fit(rows[~held_out], target[~held_out])
told = model.predict(rows[held_out])
fitted = model[-1]
result = {
    "rows": int((~held_out).sum()),
    "count": int(held_out.sum()),
    "correct": int((told == target[held_out]).sum()),
    "weights": fitted.coef_[0].tolist(),
    "intercept": float(fitted.intercept_[0]),
}
with open("/out/result.json", "w") as file:
    json.dump(result, file)
