/* shout FROM TO PORT WORD: sends the word by UDP from that address of ours, once. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in at(const char *address, int port) {
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    if (inet_pton(AF_INET, address, &place.sin_addr) != 1) {
        fprintf(stderr, "shout: %s is no address\n", address);
        exit(2);
    }
    return place;
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fprintf(stderr, "usage: shout FROM TO PORT WORD\n");
        return 2;
    }
    struct sockaddr_in from = at(argv[1], 0), to = at(argv[2], atoi(argv[3]));
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&from, sizeof from) < 0 ||
        sendto(fd, argv[4], strlen(argv[4]), 0, (struct sockaddr *)&to, sizeof to) < 0) {
        perror("shout");
        return 1;
    }
    return close(fd);
}
