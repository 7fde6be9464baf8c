/*
 * The limit: one write and one fdatasync for each group of records, and nothing else.
 *
 *   groupCommit PATH GROUP MILLISECONDS LINE
 *
 * Says `ready` after a warm-up, and prints what it measured for each line of its input.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static double now(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static double cpu(void) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  return used.ru_utime.tv_sec * 1e6 + used.ru_utime.tv_usec + used.ru_stime.tv_sec * 1e6 + used.ru_stime.tv_usec;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  long group = atol(argv[2]);
  double millis = atof(argv[3]);
  size_t length = strlen(argv[4]) + 1;
  char *bytes = malloc(group * length);
  double *latencies = malloc(sizeof(double) * 1000000);
  for (long i = 0; i < group; i++) {
    memcpy(bytes + i * length, argv[4], length - 1);
    bytes[(i + 1) * length - 1] = '\n';
  }
  int fd = open(argv[1], O_WRONLY | O_APPEND | O_CREAT, 0600);
  if (fd < 0) return perror("open"), 1;
  char go[16];
  int warm = 1;
  do {
    long count = 0;
    double used = cpu(), start = now(CLOCK_MONOTONIC), since = start;
    double end = start + (warm ? millis * 2 : millis);
    while (since < end && count < 1000000) {
      if (write(fd, bytes, group * length) != (ssize_t)(group * length)) return perror("write"), 1;
      if (fdatasync(fd) != 0) return perror("fdatasync"), 1;
      double after = now(CLOCK_MONOTONIC);
      latencies[count++] = after - since;
      since = after;
    }
    if (warm) {
      warm = 0;
      puts("ready");
      fflush(stdout);
      continue;
    }
    qsort(latencies, count, sizeof(double), ascending);
    printf(
      "{\"rate\":%f,\"p50\":%f,\"p99\":%f,\"cpu\":%f}\n", count * group / (since - start) * 1000, latencies[count / 2],
      latencies[count * 99 / 100], (cpu() - used) / (count * group));
    fflush(stdout);
  } while (fgets(go, sizeof go, stdin));
  return 0;
}
