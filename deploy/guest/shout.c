/* shout FROM TO PORT WORD: sends the word by UDP from that address of ours, of IPv4 or IPv6, once. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* One place of either family. */
union place {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
};

static socklen_t at(union place *place, const char *address, int port) {
    memset(place, 0, sizeof *place);
    if (inet_pton(AF_INET, address, &place->four.sin_addr) == 1) {
        place->four.sin_family = AF_INET;
        place->four.sin_port = htons((unsigned short)port);
        return sizeof place->four;
    }
    if (inet_pton(AF_INET6, address, &place->six.sin6_addr) == 1) {
        place->six.sin6_family = AF_INET6;
        place->six.sin6_port = htons((unsigned short)port);
        return sizeof place->six;
    }
    fprintf(stderr, "shout: %s is no address\n", address);
    exit(2);
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fprintf(stderr, "usage: shout FROM TO PORT WORD\n");
        return 2;
    }
    union place from, to;
    socklen_t ours = at(&from, argv[1], 0), theirs = at(&to, argv[2], atoi(argv[3]));
    int fd = socket(from.any.sa_family, SOCK_DGRAM, 0);
    if (fd < 0 || bind(fd, &from.any, ours) < 0 || sendto(fd, argv[4], strlen(argv[4]), 0, &to.any, theirs) < 0) {
        perror("shout");
        return 1;
    }
    return close(fd);
}
