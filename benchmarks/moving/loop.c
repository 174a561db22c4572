/* Moves the small files below one disk to another with the calls of the move protocol and nothing else: what is left when
 * a program has no cost of its own. Batches of 1,000 files; no recovery, no metadata but owner, mode and times, no reasons.
 *
 * loop SOURCE DESTINATION
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define BATCH 1000
#define LONGEST 65536
#define HIDDEN ".loop-hidden"

struct item {
    int folder, hidden, target; /* open folders: of the source, hidden beside it, of the destination */
    int source, copy;
    char name[256], part[64];
    struct stat was;
    uint64_t digest;
};

static struct item items[BATCH];
static int count, number, destination_root;
static char buffer[LONGEST];

static void must(int holds, const char *what)
{
    if (!holds) {
        perror(what);
        exit(1);
    }
}

static uint64_t digest(ssize_t size)
{
    uint64_t sum = (uint64_t)size, word;
    for (ssize_t at = 0; at < size; at += 8) {
        word = 0;
        memcpy(&word, buffer + at, size - at < 8 ? (size_t)(size - at) : 8);
        sum = (sum ^ word) * 0x9E3779B97F4A7C15u;
        sum ^= sum >> 29;
    }
    return sum;
}

static void copy(struct item *one)
{
    struct timespec times[2];
    one->source = openat(one->folder, one->name, O_RDONLY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC);
    must(one->source >= 0, one->name);
    must(fstat(one->source, &one->was) == 0, "fstat");
    must(fcntl(one->source, F_SETLEASE, F_RDLCK) == 0, "read lease");
    must(flistxattr(one->source, NULL, 0) >= 0, "flistxattr");
    snprintf(one->part, sizeof one->part, ".loop-%d.part", number++);
    one->copy = openat(one->target, one->part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    must(one->copy >= 0, one->part);
    ssize_t size = pread(one->source, buffer, LONGEST, 0);
    must(size == one->was.st_size, "pread");
    one->digest = digest(size);
    must(pwrite(one->copy, buffer, (size_t)size, 0) == size, "pwrite");
    must(fchown(one->copy, one->was.st_uid, one->was.st_gid) == 0, "fchown");
    must(fchmod(one->copy, one->was.st_mode & 07777) == 0, "fchmod");
    times[0] = one->was.st_atim;
    times[1] = one->was.st_mtim;
    must(futimens(one->copy, times) == 0, "futimens");
}

static void verify(int fd, const struct item *one)
{
    must(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0, "fadvise");
    ssize_t size = pread(fd, buffer, LONGEST, 0);
    must(size == one->was.st_size && digest(size) == one->digest, "verify");
}

static void commit(struct item *one)
{
    struct stat now;
    must(fcntl(one->source, F_SETLEASE, F_WRLCK) == 0, "write lease");
    /* renames and our own opens do not break it; the copy is open for writing by us alone */
    must(fcntl(one->copy, F_SETLEASE, F_WRLCK) == 0, "write lease on the copy");
    must(renameat2(one->target, one->part, one->target, one->name, RENAME_NOREPLACE) == 0, "appear");
    must(renameat2(one->folder, one->name, one->hidden, one->name, RENAME_NOREPLACE) == 0, "hide");
    must(fcntl(one->source, F_GETLEASE) == F_WRLCK && fcntl(one->copy, F_GETLEASE) == F_WRLCK, "lease lost");
    must(fstat(one->source, &now) == 0 && now.st_mtim.tv_nsec == one->was.st_mtim.tv_nsec, "changed");
    must(fcntl(one->source, F_SETLEASE, F_UNLCK) == 0 && fcntl(one->copy, F_SETLEASE, F_UNLCK) == 0, "let go");
}

static void settle(void)
{
    struct stat now;
    must(syncfs(destination_root) == 0, "syncfs");
    for (int at = 0; at < count; at++) {
        posix_fadvise(items[at].source, 0, 0, POSIX_FADV_DONTNEED);
        posix_fadvise(items[at].copy, 0, 0, POSIX_FADV_DONTNEED);
        posix_fadvise(items[at].source, 0, 0, POSIX_FADV_WILLNEED);
        posix_fadvise(items[at].copy, 0, 0, POSIX_FADV_WILLNEED);
    }
    for (int at = 0; at < count; at++) {
        verify(items[at].source, &items[at]);
        verify(items[at].copy, &items[at]);
    }
    for (int at = 0; at < count; at++)
        commit(&items[at]);
    must(syncfs(destination_root) == 0, "syncfs");
    usleep(50000);
    for (int at = 0; at < count; at++) {
        must(fstat(items[at].source, &now) == 0 && now.st_size == items[at].was.st_size, "changed late");
        must(unlinkat(items[at].hidden, items[at].name, 0) == 0, "unlink");
        close(items[at].source);
        close(items[at].copy);
    }
    count = 0;
}

struct place {
    int folder, hidden, target;
};

static struct place places[BATCH];
static int place_count;

static void settle_all(void)
{
    settle();
    for (int at = 0; at < place_count; at++) {
        must(unlinkat(places[at].folder, HIDDEN, AT_REMOVEDIR) == 0, "rmdir");
        close(places[at].folder);
        close(places[at].hidden);
        close(places[at].target);
    }
    place_count = 0;
}

static int folder_at(int at, const char *name)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    must(fd >= 0, name);
    return fd;
}

static struct place *place_of(int folder, int target)
{
    must(mkdirat(folder, HIDDEN, 0700) == 0, "mkdir");
    places[place_count] = (struct place){fcntl(folder, F_DUPFD_CLOEXEC, 0), folder_at(folder, HIDDEN), fcntl(target, F_DUPFD_CLOEXEC, 0)};
    return &places[place_count++];
}

static int is_real(const struct dirent *found)
{
    return strcmp(found->d_name, ".") && strcmp(found->d_name, "..") && strcmp(found->d_name, HIDDEN);
}

/* Move what is in a folder; both descriptors stay the caller's. */
static void walk(int folder, int target)
{
    struct dirent **found;
    struct place *place = NULL;
    int total = scandirat(folder, ".", &found, is_real, alphasort);
    must(total >= 0, "scandir");
    for (int at = 0; at < total; at++) {
        const char *name = found[at]->d_name;
        if (found[at]->d_type == DT_DIR) {
            must(mkdirat(target, name, 0755) == 0 || errno == EEXIST, "mkdir");
            int below = folder_at(folder, name), there = folder_at(target, name);
            walk(below, there);
            close(below);
            close(there);
        } else {
            if (count == BATCH) {
                settle_all();
                place = NULL;
            }
            if (place == NULL)
                place = place_of(folder, target);
            struct item *one = &items[count++];
            one->folder = place->folder;
            one->hidden = place->hidden;
            one->target = place->target;
            snprintf(one->name, sizeof one->name, "%s", name);
            copy(one);
        }
        free(found[at]);
    }
    free(found);
}

static int is_below(const struct dirent *found)
{
    return found->d_type == DT_DIR && strcmp(found->d_name, ".") && strcmp(found->d_name, "..");
}

/* Remove the folders below one, which are empty by now. */
static void clear(int folder)
{
    struct dirent **found;
    int total = scandirat(folder, ".", &found, is_below, NULL);
    must(total >= 0, "scandir");
    for (int at = 0; at < total; at++) {
        int below = folder_at(folder, found[at]->d_name);
        clear(below);
        close(below);
        unlinkat(folder, found[at]->d_name, AT_REMOVEDIR);
        free(found[at]);
    }
    free(found);
}

int main(int count_of_arguments, char **arguments)
{
    struct rlimit limit;
    must(count_of_arguments == 3, "loop SOURCE DESTINATION");
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    signal(SIGIO, SIG_IGN);
    int source = folder_at(AT_FDCWD, arguments[1]);
    destination_root = folder_at(AT_FDCWD, arguments[2]);
    walk(source, destination_root);
    settle_all();
    clear(source);
    return 0;
}
