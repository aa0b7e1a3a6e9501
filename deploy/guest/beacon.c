/*
 * The guest's sign of life, by which tests judge that exactly one copy of it runs.
 *
 * Forty times a second it counts up and sends one UDP datagram to the listener on the campus
 * network (203.0.113.10, port 7777; another address can stand in /etc/beacon-to):
 *
 *     {"host":"mail","boot_id":"…","n":1234,"disk":1220,"uptime_ms":30850,"memory_mib":160}
 *
 * boot_id is the kernel's, new with each boot; n only ever rises within one boot. So two copies of
 * one guest, which share their past, show as an n that comes twice; a guest that was reset shows as
 * a new boot_id; and a stopped one as silence.
 *
 * Every tenth time the counter is written through to the disk, /var/lib/beacon/count. Just before
 * that, what stands there is read from the disk itself, past the kernel's copy, and told from then
 * on as "disk". So n is never twenty or more ahead of it, unless a write that the disk had
 * acknowledged is gone: the server's disk is not the one that it had.
 *
 * While the listener's own machine answers that nobody listens there, all of this goes on four times a
 * second only. Silence is no such answer.
 *
 * /run/uptime, which the web server shows, is renewed every fourth time. (All of it costs some 5 %
 * of a core under emulation, nearly all for the datagrams.)
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

enum { TICK_MS = 25, SYNC_EVERY = 10, UPTIME_EVERY = 4, PORT = 7777 };
/* That nobody listens is said once a second at most: it holds for so many times. */
enum { QUIET_MS = 250, QUIET_FOR = 8 };

static void read_line(const char *path, char *line, size_t size, const char *otherwise)
{
    FILE *file = fopen(path, "r");
    if (!file || !fgets(line, (int)size, file))
        snprintf(line, size, "%s", otherwise);
    if (file)
        fclose(file);
    line[strcspn(line, "\r\n ")] = 0;
}

static long long uptime_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* What the kernel uses of the memory that it has been given. */
static unsigned long long memory_mib(void)
{
    struct sysinfo info;
    return sysinfo(&info) ? 0 : ((unsigned long long)info.totalram * info.mem_unit) >> 20;
}

/* Readers see the old file or the new one, never half of it. */
static void publish_uptime(const char *text, size_t length)
{
    int fd = open("/run/uptime.new", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0)
        return;
    if (write(fd, text, length) == (ssize_t)length)
        rename("/run/uptime.new", "/run/uptime");
    close(fd);
}

/* A beacon that died and was started again goes on where it was: the counter is a mapped file. */
static unsigned long long *kept_counter(void)
{
    static unsigned long long alone;
    int fd = open("/run/beacon-count", O_RDWR | O_CREAT, 0644);
    void *kept = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, sizeof alone) == 0)
        kept = mmap(NULL, sizeof alone, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    return kept == MAP_FAILED ? &alone : kept;
}

/* The count of this boot that the disk has, or 0. */
static unsigned long long count_on_disk(int direct, const char *boot_id)
{
    static _Alignas(4096) char block[4096];
    size_t id = strlen(boot_id);
    ssize_t length = pread(direct, block, sizeof block, 0);
    if (length <= (ssize_t)id || (size_t)length == sizeof block || memcmp(block, boot_id, id))
        return 0;
    block[length] = 0;
    return strtoull(block + id, NULL, 10);
}

int main(void)
{
    char boot_id[64], host[65], to[64], text[320];
    struct sockaddr_in listener = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    struct timespec tick = {.tv_nsec = TICK_MS * 1000000L}, slow = {.tv_nsec = QUIET_MS * 1000000L};
    int udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    int on = 1, quiet = 0;

    read_line("/proc/sys/kernel/random/boot_id", boot_id, sizeof boot_id, "unknown");
    read_line("/etc/beacon-to", to, sizeof to, "203.0.113.10");
    inet_pton(AF_INET, to, &listener.sin_addr);
    setsockopt(udp, SOL_SOCKET, SO_BROADCAST, &on, sizeof on);
    int disk = open("/var/lib/beacon/count", O_WRONLY | O_CREAT, 0644);

    int direct = open("/var/lib/beacon/count", O_RDONLY | O_DIRECT);

    unsigned long long *n = kept_counter(), on_disk = count_on_disk(direct, boot_id);

    for (;; nanosleep(quiet ? &slow : &tick, NULL)) {
        ++*n;
        gethostname(host, sizeof host);
        if (*n % SYNC_EVERY == 0)
            on_disk = count_on_disk(direct, boot_id);
        int length = snprintf(text, sizeof text,
                              "{\"host\":\"%s\",\"boot_id\":\"%s\",\"n\":%llu,\"disk\":%llu,\"uptime_ms\":%lld,"
                              "\"memory_mib\":%llu}\n",
                              host, boot_id, *n, on_disk, uptime_ms(), memory_mib());
        /* Not every network has the listener; then there is nobody to tell. What became of the last datagram is told to
         * a connected socket; it is connected anew each time, since the address may have come or changed meanwhile. */
        if (connect(udp, (struct sockaddr *)&listener, sizeof listener) == 0 && send(udp, text, length, 0) < 0 &&
            errno == ECONNREFUSED)
            quiet = QUIET_FOR;
        else if (quiet)
            --quiet;
        if (quiet || *n % UPTIME_EVERY == 0)
            publish_uptime(text, length);

        if (*n % SYNC_EVERY == 0) {
            length = snprintf(text, sizeof text, "%s %-20llu\n", boot_id, *n);
            if (pwrite(disk, text, length, 0) != length || fdatasync(disk))
                perror("beacon: /var/lib/beacon/count");
        }
    }
}
