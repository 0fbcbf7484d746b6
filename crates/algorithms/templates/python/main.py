# The mean and the standard deviation of one column of a table that stays where it is.
#
# MicroPython runs this (https://docs.micropython.org), with its modules json, math, os, re, struct, sys, random and a few more.

import json
import math
import os
import sys

# Fewer rows than that are nobody's business. A constant, for parameters come from whoever wants to know.
MIN_ROWS = 10

# What may stand around a cell.
SPACES = " \t\r\n"


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


def unsigned(text):
    return text[1:] if text[:1] in ("+", "-") else text


def number(cell):
    # As the README says; `float` alone takes more, and not the same as other languages do.
    digits, e, exponent = cell.replace("E", "e").partition("e")
    whole, _, part = unsigned(digits).partition(".")
    is_number = (whole + part).isdigit() and (not e or unsigned(exponent).isdigit())
    return float(cell) if is_number else math.nan


def line_of(file):
    try:
        line = file.readline()
    except UnicodeError:
        line = "\0"
    if "\0" in line:
        fail("the table is no text in UTF-8")
    return line


def lines_of(path):
    with open(path) as file:
        line, count = line_of(file), 1
        # Excel puts a mark before it.
        line = line[1:] if line.startswith("\ufeff") else line
        while line or count == 1:
            if '"' in line:
                fail("line %d has quotes, which this program does not read" % count)
            yield count, line
            line, count = line_of(file), count + 1


def column_of(path, column):
    separator, at, values = ",", None, []
    for count, line in lines_of(path):
        if count == 1:
            separator = ([each for each in ",;\t|" if each in line] + [","])[0]
        cells = line.split(separator)
        if count == 1:
            names = [name.strip(SPACES) for name in cells]
            if column not in names:
                fail('there is no column "%s"' % column)
            at = names.index(column)
            continue
        cell = cells[at].strip(SPACES) if at < len(cells) else ""
        if cell == "":
            continue
        value = number(cell)
        if not math.isfinite(value):
            fail('line %d: column "%s" is no number' % (count, column))
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
