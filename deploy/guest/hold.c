/*
 * hold ADDRESS PORT: opens a TCP connection to an echo there, and four times a second says a new number on it and waits until
 * it is back. Once the first one is it says "holds" and goes on by itself, as the process in /run/hold-ADDRESS. At a
 * SIGTERM it closes the connection as one that has lost nothing, and writes down in /run/held-ADDRESS what became of it:
 * "whole N" after N numbers, or "broken N".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { TICK_MS = 250, PATIENCE_S = 60 };

static volatile sig_atomic_t over;

static void end(int signal)
{
    (void)signal;
    over = 1;
}

/* Waits for bytes, whatever signal comes meanwhile. */
static ssize_t hear(int tcp, char *into, size_t room)
{
    ssize_t length;
    do
        length = recv(tcp, into, room, 0);
    while (length < 0 && errno == EINTR);
    return length;
}

/* Whether a number that is said comes back. */
static int echoed(int tcp, unsigned long n)
{
    char said[32], heard[32];
    size_t length = (size_t)snprintf(said, sizeof said, "%lu\n", n), got = 0;
    if (send(tcp, said, length, MSG_NOSIGNAL) != (ssize_t)length)
        return 0;
    while (got < length) {
        ssize_t more = hear(tcp, heard + got, length - got);
        if (more <= 0)
            return 0;
        got += (size_t)more;
    }
    return memcmp(said, heard, length) == 0;
}

/* Readers see all of it or nothing. */
static void note(const char *what, const char *address, const char *text)
{
    char path[64], fresh[80];
    snprintf(path, sizeof path, "/run/%s-%s", what, address);
    snprintf(fresh, sizeof fresh, "%s.new", path);
    FILE *file = fopen(fresh, "w");
    if (file && fputs(text, file) >= 0 && fclose(file) == 0)
        rename(fresh, path);
}

/* Until somebody asks what became of it, or it breaks. */
static void keep(int tcp, const char *address)
{
    struct timespec tick = {.tv_nsec = TICK_MS * 1000000L};
    unsigned long n = 1;
    char text[64], rest;
    int whole = 1;
    while (whole && !over) {
        nanosleep(&tick, NULL);
        whole = echoed(tcp, n);
        n += (unsigned long)whole;
    }
    /* After the last number nothing comes but the end. */
    whole = whole && shutdown(tcp, SHUT_WR) == 0 && hear(tcp, &rest, 1) == 0;
    snprintf(text, sizeof text, "%s %lu\n", whole ? "whole" : "broken", n);
    note("held", address, text);
}

int main(int argc, char **argv)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    struct timeval patience = {.tv_sec = PATIENCE_S};
    struct sigaction ending = {.sa_handler = end, .sa_flags = SA_RESTART};
    char text[64];
    int tcp = socket(AF_INET, SOCK_STREAM, 0), nothing = open("/dev/null", O_RDWR);
    if (argc != 3 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1 || tcp < 0 || nothing < 0)
        return 2;
    to.sin_port = htons((unsigned short)atoi(argv[2]));
    if (setsockopt(tcp, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) || sigaction(SIGTERM, &ending, NULL) ||
        connect(tcp, (struct sockaddr *)&to, sizeof to) || !echoed(tcp, 0)) {
        puts("no echo");
        return 1;
    }
    snprintf(text, sizeof text, "/run/held-%s", argv[1]);
    unlink(text);
    pid_t pid = fork();
    if (pid < 0)
        return 1;
    if (pid == 0) {
        setsid();
        /* Whoever asked waits for the end of what we say. */
        for (int fd = 0; fd <= 2; ++fd)
            dup2(nothing, fd);
        keep(tcp, argv[1]);
        return 0;
    }
    snprintf(text, sizeof text, "%ld\n", (long)pid);
    note("hold", argv[1], text);
    puts("holds");
    return 0;
}
