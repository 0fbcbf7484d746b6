// The mean and the standard deviation of one column of a table that stays where it is.

import { fail, list, read, write } from "./files";

/** Fewer rows than that are nobody's business. A constant, for parameters come from whoever wants to know. */
const MIN_ROWS = 10;

/** The text that a field of a JSON object has. Enough for names of columns: escapes are refused. */
function textOf(json: string, name: string): string {
  const quoted = '"' + name + '"';
  const at = json.indexOf(quoted);
  if (at < 0) fail('the parameter "' + name + '" is missing');
  const rest = json.substring(at + quoted.length).trimStart();
  const value = rest.substring(1).trimStart();
  const end = value.indexOf('"', 1);
  if (!rest.startsWith(":") || !value.startsWith('"') || end < 0 || value.substring(0, end).includes("\\")) {
    fail('the parameter "' + name + '" has to be a plain text');
  }
  return value.substring(1, end);
}

/** A number as tables have it, or NaN. */
function number(cell: string): f64 {
  for (let i = 0; i < cell.length; i++) {
    if (!"0123456789+-.eE".includes(cell.charAt(i))) return NaN;
  }
  return parseFloat(cell);
}

function lines(text: string): string[] {
  return text.replaceAll("\r", "").split("\n");
}

const column = textOf(read("/data", "params.json"), "column");
const tables = list("/data").filter((name) => name.endsWith(".csv"));
if (tables.length != 1) fail(tables.length ? "there is more than one CSV file" : "there is no CSV file");
const table = lines(read("/data", tables[0]));
const at = table[0].split(",").indexOf(column);
if (at < 0) fail('there is no column "' + column + '"');

const values: f64[] = [];
for (let i = 1; i < table.length; i++) {
  if (table[i].includes('"')) fail("line " + (i + 1).toString() + " has quotes, which this program does not read");
  const cells = table[i].split(",");
  if (at >= cells.length || cells[at] == "") continue;
  const value = number(cells[at]);
  if (!isFinite(value)) fail("line " + (i + 1).toString() + ': column "' + column + '" is no number');
  values.push(value);
}
const rows = values.length;
if (rows < MIN_ROWS) fail("fewer than " + MIN_ROWS.toString() + " rows");

let sum: f64 = 0;
for (let i = 0; i < rows; i++) sum += values[i];
const mean = sum / rows;
let squares: f64 = 0;
for (let i = 0; i < rows; i++) squares += (values[i] - mean) * (values[i] - mean);
// Of a sample: over one less than the rows.
const deviation = Math.sqrt(squares / (rows - 1));

write("/out", "result.json", `{"rows":${rows},"values":[${mean},${deviation}]}`);
