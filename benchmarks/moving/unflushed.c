/* Makes every flush of a program do nothing, so that what flushing costs can be measured: LD_PRELOAD. */
#define _GNU_SOURCE
#include <sys/types.h>

int fsync(int fd) { (void)fd; return 0; }
int fdatasync(int fd) { (void)fd; return 0; }
int syncfs(int fd) { (void)fd; return 0; }
int sync_file_range(int fd, off64_t offset, off64_t length, unsigned int flags)
{
    (void)fd; (void)offset; (void)length; (void)flags;
    return 0;
}
