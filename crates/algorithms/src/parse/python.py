# Reads the script at /data/script as MicroPython would before it runs it, and runs nothing of it.

import io
import sys

with open("/data/script") as file:
    text = file.read()
try:
    compile(text, "main.py", "exec")
except Exception as error:
    # All but the frames that are of this script.
    told = io.StringIO()
    sys.print_exception(error, told)
    print("\n".join([line.strip() for line in told.getvalue().split("\n") if line and "<stdin>" not in line][1:]))
    sys.exit(1)
