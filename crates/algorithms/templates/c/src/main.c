// The mean and the standard deviation of one column of a table that stays where it is.

#include <ctype.h>
#include <dirent.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Fewer rows than that are nobody's business. A constant, for parameters come from whoever wants to know.
#define MIN_ROWS 10

// Bytes of a file at most.
#define MOST (64 << 20)

// Says what is wrong, and ends. It may be shown to whoever sent the job: no value of the table.
static _Noreturn void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("error: ", stderr);
    vfprintf(stderr, format, arguments);
    fputs("\n", stderr);
    va_end(arguments);
    exit(1);
}

// All of a text in UTF-8, with a zero at its end.
static char *read_text(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) fail("cannot read %s", path);
    size_t length = 0, room = 1 << 16;
    char *text = NULL;
    for (;;) {
        text = realloc(text, room + 1);
        if (!text) fail("no memory for %s", path);
        length += fread(text + length, 1, room - length, file);
        if (length < room) break;
        if (room >= MOST) fail("%s has more than %d bytes", path, MOST);
        room *= 2;
    }
    fclose(file);
    text[length] = 0;
    setlocale(LC_CTYPE, "C.UTF-8");
    if (strlen(text) < length || mbstowcs(NULL, text, 0) == (size_t)-1) fail("%s is no text in UTF-8", path);
    return text;
}

// The text that a field of a JSON object has. Enough for names of columns: escapes are refused.
static char *text_of(char *json, const char *name) {
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\"", name);
    char *at = strstr(json, quoted);
    if (!at) fail("the parameter \"%s\" is missing", name);
    at += strlen(quoted);
    while (isspace((unsigned char)*at)) at++;
    if (*at++ != ':') fail("the parameters are not understood");
    while (isspace((unsigned char)*at)) at++;
    char *end = *at == '"' ? strchr(at + 1, '"') : NULL;
    if (!end || memchr(at + 1, '\\', (size_t)(end - at))) fail("the parameter \"%s\" has to be a plain text", name);
    *end = 0;
    return at + 1;
}

// The path of the one CSV file in /data.
static void find_table(char *path, size_t room) {
    DIR *folder = opendir("/data");
    if (!folder) fail("cannot read /data");
    int tables = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        size_t length = strlen(entry->d_name);
        if (length < 4 || strcmp(entry->d_name + length - 4, ".csv")) continue;
        snprintf(path, room, "/data/%s", entry->d_name);
        tables++;
    }
    closedir(folder);
    if (tables != 1) fail(tables ? "there is more than one CSV file" : "there is no CSV file");
}

// Cuts a line, or a cell of one, off the front of a text. NULL if nothing is left.
static char *cut(char **rest, char at) {
    char *part = *rest;
    if (!part) return NULL;
    char *end = strchr(part, at);
    if (end) *end = 0;
    *rest = end ? end + 1 : NULL;
    return part;
}

// A cell of a line, without the spaces around it. NULL if nothing is left.
static char *cell_of(char **line, char separator) {
    char *cell = cut(line, separator);
    if (!cell) return NULL;
    cell += strspn(cell, " \t\r");
    size_t length = strlen(cell);
    while (length && strchr(" \t\r", cell[length - 1])) length--;
    cell[length] = 0;
    return cell;
}

// Passes over digits, and says how many there are.
static size_t digits(const char **at) {
    size_t count = strspn(*at, "0123456789");
    *at += count;
    return count;
}

// A number as the README says, or NAN; strtod alone takes more, and not the same as other languages do.
static double number(const char *cell) {
    const char *at = cell + (*cell == '+' || *cell == '-');
    size_t count = digits(&at);
    if (*at == '.') {
        at++;
        count += digits(&at);
    }
    if (!count) return NAN;
    if (*at == 'e' || *at == 'E') {
        at++;
        at += *at == '+' || *at == '-';
        if (!digits(&at)) return NAN;
    }
    return *at ? NAN : strtod(cell, NULL);
}

int main(void) {
    char *params = read_text("/data/params.json"), path[512];
    char *column = text_of(params, "column");
    find_table(path, sizeof path);
    char *table = read_text(path);
    // Excel puts a mark before it.
    if (!strncmp(table, "\xef\xbb\xbf", 3)) table += 3;

    char *names = cut(&table, '\n'), separator = ',';
    if (strchr(names, '"')) fail("line 1 has quotes, which this program does not read");
    for (const char *each = ",;\t|"; *each; each++) {
        if (!strchr(names, *each)) continue;
        separator = *each;
        break;
    }
    int at = -1, count = 0;
    for (char *name; at < 0 && (name = cell_of(&names, separator)); count++) {
        if (!strcmp(name, column)) at = count;
    }
    if (at < 0) fail("there is no column \"%s\"", column);

    double *values = NULL;
    size_t rows = 0, room = 0;
    count = 1;
    for (char *line; (line = cut(&table, '\n'));) {
        count++;
        if (strchr(line, '"')) fail("line %d has quotes, which this program does not read", count);
        char *cell = NULL;
        for (int i = 0; i <= at && (cell = cell_of(&line, separator)); i++) {}
        if (!cell || !*cell) continue;
        double value = number(cell);
        if (!isfinite(value)) fail("line %d: column \"%s\" is no number", count, column);
        if (rows == room) {
            room = room ? 2 * room : 1024;
            values = realloc(values, room * sizeof *values);
            if (!values) fail("no memory for the values");
        }
        values[rows++] = value;
    }
    if (rows < MIN_ROWS) fail("fewer than %d rows", MIN_ROWS);

    double sum = 0, squares = 0;
    for (size_t i = 0; i < rows; i++) sum += values[i];
    double mean = sum / (double)rows;
    for (size_t i = 0; i < rows; i++) squares += (values[i] - mean) * (values[i] - mean);
    // Of a sample: over one less than the rows.
    double deviation = sqrt(squares / (double)(rows - 1));

    FILE *result = fopen("/out/result.json", "w");
    if (!result) fail("cannot write /out/result.json");
    fprintf(result, "{\"rows\":%zu,\"values\":[%.17g,%.17g]}", rows, mean, deviation);
    if (fclose(result)) fail("cannot write /out/result.json");
    return 0;
}
