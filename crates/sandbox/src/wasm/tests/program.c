// What programs in C do with the system: arguments, files, folders, time, randomness.
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
    printf("%d arguments, the last is %s, at %ld\n", argc, argv[argc - 1], (long)time(NULL));

    char params[100] = {0};
    FILE *file = fopen("/data/params.json", "r");
    fread(params, 1, sizeof params - 1, file);
    fclose(file);
    printf("params %s\n", params);

    DIR *folder = opendir("/data/set");
    for (struct dirent *entry; (entry = readdir(folder));) printf("entry %s\n", entry->d_name);
    closedir(folder);

    mkdir("/out/sub", 0777);
    file = fopen("/out/sub/draft", "w");
    fprintf(file, "pi is %.3f\n", 3.14159);
    fseek(file, 0, SEEK_SET);
    fputc('P', file);
    fclose(file);
    file = fopen("/out/sub/draft", "a");
    fputs("and more\n", file);
    fclose(file);
    rename("/out/sub/draft", "/out/final");
    struct stat stat_of;
    stat("/out/final", &stat_of);
    printf("size %ld, dated %ld\n", (long)stat_of.st_size, (long)stat_of.st_mtime);

    printf("%s\n", fopen("/etc/passwd", "r") ? "opened" : "no such file");
    if (!fopen("/data/params.json", "w")) printf("%s\n", strerror(errno));
    unsigned char random[2];
    getentropy(random, 2);
    usleep(1000);
    fprintf(stderr, "bye\n");
    return 5;
}
