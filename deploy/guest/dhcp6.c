/*
 * dhcp6: asks for this machine's IPv6 address on eth0 (DHCPv6, RFC 8415) until somebody gives one, takes
 * it, and is done: on networks of ours an address is a server's for life. Where there is no IPv6 it asks more
 * and more seldom, once a minute at last.
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { SOLICIT = 1, ADVERTISE = 2, REQUEST = 3, REPLY = 7 };
enum { CLIENT = 1, SERVER = 2, ASSOCIATION = 3, ADDRESS = 5 };
enum { HEAD = 4, OPTION = 4, ASSOCIATION_HEAD = 12, LONGEST_WAIT = 60 };

static const char card[] = "eth0";

/* The option of that code among those from `at` to `end`; its length is written down. */
static const unsigned char *option(const unsigned char *at, const unsigned char *end, int code, size_t *length) {
    while (end - at >= OPTION) {
        int this = at[0] << 8 | at[1];
        size_t size = (size_t)(at[2] << 8 | at[3]);
        if (size > (size_t)(end - at) - OPTION) return NULL;
        if (this == code) {
            *length = size;
            return at + OPTION;
        }
        at += OPTION + size;
    }
    return NULL;
}

static size_t put(unsigned char *out, int code, const void *body, size_t length) {
    out[0] = 0, out[1] = (unsigned char)code;
    out[2] = (unsigned char)(length >> 8), out[3] = (unsigned char)length;
    memcpy(out + OPTION, body, length);
    return OPTION + length;
}

/* Sends a message of that kind, to that server if one is named, and waits for the answer. */
static ssize_t ask(int fd, int kind, const unsigned char *mac, const unsigned char *server, size_t named,
                   unsigned char *answer, size_t room) {
    struct sockaddr_in6 all = {.sin6_family = AF_INET6, .sin6_port = htons(547)};
    unsigned char message[512] = {(unsigned char)kind, 'w', 't', 'r'};
    unsigned char who[10] = {0, 3, 0, 1};
    unsigned char association[ASSOCIATION_HEAD] = {0, 0, 0, 1};
    size_t length = HEAD;
    inet_pton(AF_INET6, "ff02::1:2", &all.sin6_addr);
    all.sin6_scope_id = if_nametoindex(card);
    memcpy(who + 4, mac, 6);
    length += put(message + length, CLIENT, who, sizeof who);
    if (named && named <= 128) length += put(message + length, SERVER, server, named);
    length += put(message + length, ASSOCIATION, association, sizeof association);
    /* While the card has no address of its own yet this fails, as when nobody answers. */
    if (sendto(fd, message, length, 0, (struct sockaddr *)&all, sizeof all) < 0) return -1;
    return recv(fd, answer, room, 0);
}

/* The address in an answer, if there is one. */
static const unsigned char *given(const unsigned char *answer, const unsigned char *end) {
    size_t length;
    const unsigned char *found = option(answer + HEAD, end, ASSOCIATION, &length);
    if (!found || length < ASSOCIATION_HEAD) return NULL;
    found = option(found + ASSOCIATION_HEAD, found + length, ADDRESS, &length);
    return found && length >= 24 ? found : NULL;
}

static int try(int fd, const unsigned char *mac) {
    unsigned char offer[1500], answer[1500];
    char text[INET6_ADDRSTRLEN];
    size_t named = 0;
    ssize_t length = ask(fd, SOLICIT, mac, NULL, 0, offer, sizeof offer);
    if (length <= HEAD || offer[0] != ADVERTISE || !given(offer, offer + length)) return 0;
    const unsigned char *server = option(offer + HEAD, offer + length, SERVER, &named);
    if (!server) return 0;
    length = ask(fd, REQUEST, mac, server, named, answer, sizeof answer);
    if (length <= HEAD || answer[0] != REPLY) return 0;
    const unsigned char *address = given(answer, answer + length);
    if (!address || !inet_ntop(AF_INET6, address, text, sizeof text)) return 0;
    printf("guest: IPv6 address %s\n", text);
    fflush(stdout);
    execl("/bin/ip", "ip", "-6", "addr", "add", text, "dev", card, (char *)NULL);
    return 0;
}

int main(void) {
    struct sockaddr_in6 own = {.sin6_family = AF_INET6, .sin6_port = htons(546), .sin6_addr = in6addr_any};
    struct ifreq link = {0};
    int fd = socket(AF_INET6, SOCK_DGRAM, 0);
    strcpy(link.ifr_name, card);
    if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &link) < 0 || bind(fd, (struct sockaddr *)&own, sizeof own) < 0) {
        perror("dhcp6");
        return 1;
    }
    for (int wait = 1;; wait = wait * 2 < LONGEST_WAIT ? wait * 2 : LONGEST_WAIT) {
        struct timeval patience = {.tv_sec = 1};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        try(fd, (const unsigned char *)link.ifr_hwaddr.sa_data);
        sleep((unsigned)wait);
    }
}
