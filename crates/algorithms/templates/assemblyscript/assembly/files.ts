// Files by way of WASI preview 1, of which AssemblyScript's shim has the calls and nothing above them.

import {
  errno,
  fd_close,
  fd_prestat_dir_name,
  fd_read,
  fd_readdir,
  fd_write,
  oflags,
  path_open,
  rights,
} from "@assemblyscript/wasi-shim/assembly/bindings/wasi_snapshot_preview1";

/** Bytes of a file at most. */
const MOST: i32 = 64 << 20;

/** What calls tell, and a buffer with its length as calls want it. */
const told = memory.data(8);
const vector = memory.data(8);

/** Says what is wrong, and ends. It may be shown to whoever sent the job: no value of the table. */
export function fail(why: string): void {
  process.stderr.write("error: " + why + "\n");
  process.exit(1);
}

/** The descriptor of a folder that the program was given. */
function given(name: string): u32 {
  const room = new Uint8Array(name.length);
  for (let descriptor: u32 = 3; descriptor < 16; descriptor++) {
    const code = fd_prestat_dir_name(descriptor, room.dataStart, room.length);
    if (code == errno.SUCCESS && String.UTF8.decode(room.buffer) == name) return descriptor;
  }
  fail("there is no " + name);
  return 0;
}

function open(folder: string, name: string, how: u16, may: u64): u32 {
  const path = Uint8Array.wrap(String.UTF8.encode(name));
  if (path_open(given(folder), 0, path.dataStart, path.length, how, may, 0, 0, told) != errno.SUCCESS) {
    fail("cannot open " + folder + "/" + name);
  }
  return load<u32>(told);
}

/** Whether a text is what these bytes are in UTF-8, and has no zero. */
function isText(text: string, bytes: Uint8Array, length: i32): bool {
  const again = String.UTF8.encode(text);
  return again.byteLength == length && memory.compare(changetype<usize>(again), bytes.dataStart, length) == 0 && !text.includes("\0");
}

/** All of a text in UTF-8. */
export function read(folder: string, name: string): string {
  const descriptor = open(folder, name, 0, rights.FD_READ);
  let bytes = new Uint8Array(1 << 16);
  let length = 0;
  for (;;) {
    store<u32>(vector, bytes.dataStart + length);
    store<u32>(vector + 4, bytes.length - length);
    if (fd_read(descriptor, vector, 1, told) != errno.SUCCESS) fail("cannot read " + folder + "/" + name);
    const count = load<u32>(told);
    if (count == 0) break;
    length += count;
    if (length == bytes.length) {
      if (length >= MOST) fail(folder + "/" + name + " is too long");
      const more = new Uint8Array(2 * length);
      more.set(bytes);
      bytes = more;
    }
  }
  fd_close(descriptor);
  const text = String.UTF8.decodeUnsafe(bytes.dataStart, length);
  if (!isText(text, bytes, length)) fail(folder + "/" + name + " is no text in UTF-8");
  return text;
}

/** Writes a text file. */
export function write(folder: string, name: string, text: string): void {
  const descriptor = open(folder, name, oflags.CREAT | oflags.TRUNC, rights.FD_WRITE);
  const bytes = Uint8Array.wrap(String.UTF8.encode(text));
  for (let done = 0; done < bytes.length; done += load<u32>(told)) {
    store<u32>(vector, bytes.dataStart + done);
    store<u32>(vector + 4, bytes.length - done);
    if (fd_write(descriptor, vector, 1, told) != errno.SUCCESS) fail("cannot write " + folder + "/" + name);
  }
  fd_close(descriptor);
}

/** The names in a folder. */
export function list(folder: string): string[] {
  const names: string[] = [];
  const room = new Uint8Array(1 << 13);
  let next: u64 = 0;
  let full = true;
  while (full) {
    if (fd_readdir(given(folder), room.dataStart, room.length, next, told) != errno.SUCCESS) fail("cannot read " + folder);
    const end = load<u32>(told);
    let at: u32 = 0;
    // An entry: where the next one is (8 bytes), a number (8), the length of its name (4), its kind (4), the name.
    while (at + 24 <= end) {
      const length = load<u32>(room.dataStart + at + 16);
      if (at + 24 + length > end) break;
      next = load<u64>(room.dataStart + at);
      names.push(String.UTF8.decodeUnsafe(room.dataStart + at + 24, length));
      at += 24 + length;
    }
    full = end == <u32>room.length;
  }
  return names;
}
