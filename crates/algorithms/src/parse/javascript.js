// Reads the script at /data/script as QuickJS would before it runs it, and runs nothing of it.

// In a block, for what is named outside of one the script cannot name again.
{
  const text = std.loadFile("/data/script");
  try {
    // A script is read to its end before its first statement is run, which ends it here.
    std.evalScript("throw undefined;" + text.replace(/^#!/, "//"));
  } catch (error) {
    if (error !== undefined) {
      const line = /<evalScript>:(\d+)/.exec(error.stack ?? "");
      std.err.puts(`main.js, line ${line?.[1] ?? "?"}: ${error}\n`);
      std.exit(1);
    }
  }
}
