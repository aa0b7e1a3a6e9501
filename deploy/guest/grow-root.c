/*
 * grow-root DISK PARTITION MOUNTPOINT: lets the last partition and its mounted ext4 file system
 * fill the disk. Run at each boot; when there is nothing to gain it changes nothing.
 */
#include <fcntl.h>
#include <linux/blkpg.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <unistd.h>

#define EXT4_IOC_RESIZE_FS _IOW('f', 16, uint64_t)
enum { SECTOR = 512, TABLE = 446, ENTRY = 16, START = 8, COUNT = 12 };

static int fail(const char *what)
{
    perror(what);
    return 1;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return fprintf(stderr, "grow-root DISK PARTITION MOUNTPOINT\n"), 2;
    int number = atoi(argv[2]);
    if (number < 1 || number > 4)
        return fprintf(stderr, "grow-root: a partition is 1 to 4\n"), 2;
    int disk = open(argv[1], O_RDWR | O_CLOEXEC);
    uint64_t bytes;
    unsigned char mbr[SECTOR];
    if (disk < 0 || ioctl(disk, BLKGETSIZE64, &bytes) || pread(disk, mbr, SECTOR, 0) != SECTOR)
        return fail(argv[1]);

    unsigned char *entry = mbr + TABLE + ENTRY * (number - 1);
    uint32_t start, count;
    memcpy(&start, entry + START, 4);
    memcpy(&count, entry + COUNT, 4);
    uint64_t room = bytes / SECTOR - start;
    if (room > UINT32_MAX)
        room = UINT32_MAX; /* all that an MBR can say: 2 TiB */
    room &= ~7ULL;         /* whole 4 KiB blocks */
    if (room > count) {
        count = room;
        memcpy(entry + COUNT, &count, 4);
        struct blkpg_partition part = {.start = (long long)start * SECTOR, .length = (long long)count * SECTOR, .pno = number};
        struct blkpg_ioctl_arg arg = {.op = BLKPG_RESIZE_PARTITION, .datalen = sizeof part, .data = &part};
        /* The table must be on the disk before the file system relies on it. */
        if (pwrite(disk, mbr, SECTOR, 0) != SECTOR || fsync(disk) || ioctl(disk, BLKPG, &arg))
            return fail("grow-root: partition");
    }

    /* The file system may be behind its partition, if the power went between the two steps. */
    int root = open(argv[3], O_RDONLY | O_CLOEXEC);
    struct statfs fs;
    if (root < 0 || fstatfs(root, &fs))
        return fail(argv[3]);
    uint64_t blocks = (uint64_t)count * SECTOR / fs.f_bsize;
    /* statfs leaves out the file system's own overhead, so a growth below 1 % is not worth a look. */
    if (blocks > fs.f_blocks + fs.f_blocks / 8 && ioctl(root, EXT4_IOC_RESIZE_FS, &blocks))
        return fail("grow-root: file system");
    return 0;
}
