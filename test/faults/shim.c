/*
 * Preloaded into a program, makes the kernel look like one that writes less than it is asked to: every n-th write(2) on
 * the log writes only a part. That is allowed by POSIX, and full disks, quotas, signals and network file systems do it.
 *
 * SHIM_LOG is the path of the log, SHIM_EVERY the n, and SHIM_COUNT a file that grows by one byte for each write that
 * was shortened, so that a test can tell that the shim was in the way at all.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

typedef ssize_t (*write_function)(int, const void *, size_t);

static int is_log(int fd) {
  const char *log = getenv("SHIM_LOG");
  char link[64], target[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, target, sizeof target - 1);
  if (log == NULL || length < 0) return 0;
  target[length] = 0;
  return strcmp(target, log) == 0;
}

static void count_one(write_function next) {
  const char *path = getenv("SHIM_COUNT");
  int fd = path == NULL ? -1 : open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return;
  next(fd, "x", 1);
  close(fd);
}

ssize_t write(int fd, const void *bytes, size_t size) {
  static write_function next;
  static unsigned long calls;
  if (next == NULL) next = (write_function)dlsym(RTLD_NEXT, "write");
  const char *every = getenv("SHIM_EVERY");
  if (every == NULL || size < 2 || !is_log(fd)) return next(fd, bytes, size);
  if (++calls % strtoul(every, NULL, 10) != 0) return next(fd, bytes, size);
  count_one(next);
  /* at another place of the record each time, from the first byte to the last but one */
  ssize_t written = next(fd, bytes, 1 + calls * 7919 % (size - 1));
  /* long enough for another process to append before the rest does */
  usleep(300);
  return written;
}
