// The mean and the standard deviation of one column of a table that stays where it is.
//
// QuickJS runs this, with its modules `std` and `os` (https://bellard.org/quickjs/quickjs.html#Standard-library) and without promises.

// Fewer rows than that are nobody's business. A constant, for parameters come from whoever wants to know.
const MIN_ROWS = 10;

// It may be shown to whoever sent the job: no value of the table.
function fail(why) {
  std.err.puts(`error: ${why}\n`);
  std.exit(1);
}

function read(path) {
  return std.loadFile(path) ?? fail(`cannot read ${path}`);
}

/** As the README says; `Number` alone takes more, and not the same as other languages do. */
function number(cell) {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(cell) ? Number(cell) : NaN;
}

/** A cell without the spaces around it. */
function trimmed(cell) {
  return cell.replace(/^[ \t\r]+|[ \t\r]+$/g, "");
}

function parameters() {
  try {
    return JSON.parse(read("/data/params.json"));
  } catch {
    return fail("the parameters are not JSON");
  }
}

const { column } = parameters();
if (typeof column !== "string") fail('the parameter "column" is missing');

const tables = os.readdir("/data")[0].filter((name) => name.endsWith(".csv"));
if (tables.length !== 1) fail(tables.length ? "there is more than one CSV file" : "there is no CSV file");
const table = read(`/data/${tables[0]}`);
// What is not UTF-8 is read as U+FFFD.
if (/[\0\ufffd]/.test(table)) fail("the table is no text in UTF-8");
// Excel puts a mark before it.
const lines = table.replace(/^\ufeff/, "").split("\n");
const separator = [",", ";", "\t", "|"].find((each) => lines[0].includes(each)) ?? ",";

const values = [];
let at = -1;
lines.forEach((line, index) => {
  if (line.includes('"')) fail(`line ${index + 1} has quotes, which this program does not read`);
  if (index === 0) {
    at = line.split(separator).map(trimmed).indexOf(column);
    if (at < 0) fail(`there is no column ${JSON.stringify(column)}`);
    return;
  }
  const cell = trimmed(line.split(separator)[at] ?? "");
  if (cell === "") return;
  const value = number(cell);
  if (!Number.isFinite(value)) fail(`line ${index + 1}: column ${JSON.stringify(column)} is no number`);
  values.push(value);
});
const rows = values.length;
if (rows < MIN_ROWS) fail(`fewer than ${MIN_ROWS} rows`);

const mean = values.reduce((sum, value) => sum + value, 0) / rows;
const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
// Of a sample: over one less than the rows.
const deviation = Math.sqrt(squares / (rows - 1));

const result = std.open("/out/result.json", "w") ?? fail("cannot write /out/result.json");
result.puts(JSON.stringify({ rows, values: [mean, deviation] }));
result.close();
