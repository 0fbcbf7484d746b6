# The mean and the standard deviation of one column of a table that stays where it is.
#
# MicroPython runs this (https://docs.micropython.org), with its modules json, math, os, re, struct, sys, random and a few more.

import json
import math
import os
import sys

# Fewer rows than that are nobody's business. A constant, for parameters come from whoever wants to know.
MIN_ROWS = 10


def fail(why):
    # It may be shown to whoever sent the job: no value of the table.
    print("error:", why)
    sys.exit(1)


def parameter(name):
    try:
        with open("/data/params.json") as file:
            return json.load(file)[name]
    except (OSError, KeyError, ValueError, TypeError):
        fail('the parameter "%s" is missing' % name)


def column_of(path, column):
    values = []
    with open(path) as file:
        names = file.readline().rstrip("\r\n").split(",")
        if column not in names:
            fail('there is no column "%s"' % column)
        at = names.index(column)
        number = 1
        for line in file:
            number += 1
            if '"' in line:
                fail("line %d has quotes, which this program does not read" % number)
            cells = line.rstrip("\r\n").split(",")
            if at >= len(cells) or cells[at] == "":
                continue
            try:
                value = float(cells[at])
            except ValueError:
                value = math.nan
            if not math.isfinite(value):
                fail('line %d: column "%s" is no number' % (number, column))
            values.append(value)
    return values


def main():
    column = parameter("column")
    tables = [name for name in os.listdir("/data") if name.endswith(".csv")]
    if len(tables) != 1:
        fail("there is more than one CSV file" if tables else "there is no CSV file")
    values = column_of("/data/" + tables[0], column)
    rows = len(values)
    if rows < MIN_ROWS:
        fail("fewer than %d rows" % MIN_ROWS)
    mean = sum(values) / rows
    # Of a sample: over one less than the rows.
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (rows - 1))
    with open("/out/result.json", "w") as file:
        json.dump({"rows": rows, "values": [mean, deviation]}, file)


main()
