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

/** Where the digits end that begin here. */
function digits(text: string, at: i32): i32 {
  while (at < text.length && "0123456789".includes(text.charAt(at))) at++;
  return at;
}

/** Where the sign ends that may be here. */
function sign(text: string, at: i32): i32 {
  return at < text.length && "+-".includes(text.charAt(at)) ? at + 1 : at;
}

/** A number as the README says, or NaN; `parseFloat` alone takes more, and not the same as other languages do. */
function number(cell: string): f64 {
  const begin = sign(cell, 0);
  let at = digits(cell, begin);
  let count = at - begin;
  if (cell.charAt(at) == ".") {
    const end = digits(cell, at + 1);
    count += end - at - 1;
    at = end;
  }
  if (!count) return NaN;
  if (at < cell.length && "eE".includes(cell.charAt(at))) {
    const power = sign(cell, at + 1);
    at = digits(cell, power);
    if (at == power) return NaN;
  }
  return at == cell.length ? parseFloat(cell) : NaN;
}

/** A cell without the spaces around it. */
function trimmed(cell: string): string {
  let begin = 0;
  let end = cell.length;
  while (begin < end && " \t\r".includes(cell.charAt(begin))) begin++;
  while (begin < end && " \t\r".includes(cell.charAt(end - 1))) end--;
  return cell.substring(begin, end);
}

/** What separates the names, and so the cells. */
function separatorOf(header: string): string {
  for (let i = 0; i < 4; i++) {
    const each = ",;\t|".charAt(i);
    if (header.includes(each)) return each;
  }
  return ",";
}

const column = textOf(read("/data", "params.json"), "column");
const tables = list("/data").filter((name) => name.endsWith(".csv"));
if (tables.length != 1) fail(tables.length ? "there is more than one CSV file" : "there is no CSV file");
const text = read("/data", tables[0]);
// Excel puts a mark before it.
const table = (text.startsWith("\ufeff") ? text.substring(1) : text).split("\n");
const separator = separatorOf(table[0]);

const values: f64[] = [];
let at = 0;
for (let i = 0; i < table.length; i++) {
  if (table[i].includes('"')) fail("line " + (i + 1).toString() + " has quotes, which this program does not read");
  const cells = table[i].split(separator);
  if (i == 0) {
    at = cells.map<string>((name) => trimmed(name)).indexOf(column);
    if (at < 0) fail('there is no column "' + column + '"');
    continue;
  }
  const cell = at < cells.length ? trimmed(cells[at]) : "";
  if (cell == "") continue;
  const value = number(cell);
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
