/*
 * listen PORT: hears every frame that comes to eth0, whoever it is for, until a datagram to that UDP port of ours comes;
 * three minutes at most. It says "listening" once it does, and at the end "others N own M": how many frames were for one
 * other machine, and how many for this one.
 */
#include <arpa/inet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

enum { PATIENCE_S = 180, IP = 14, LEAST_HEAD = 20, UDP_HEAD = 8 };

static time_t now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

/* Whether a frame carries a datagram by IPv4 to that port. */
static int is_to(const unsigned char *frame, size_t length, int port)
{
    if (length < IP + LEAST_HEAD + UDP_HEAD || frame[12] != 8 || frame[13] != 0 || frame[IP + 9] != IPPROTO_UDP)
        return 0;
    size_t udp = IP + (size_t)(frame[IP] & 15) * 4;
    return udp + UDP_HEAD <= length && (frame[udp + 2] << 8 | frame[udp + 3]) == port;
}

/* A socket that hears everything from the moment in which it is there. */
static int ear(void)
{
    int card = (int)if_nametoindex("eth0"), fd = socket(AF_PACKET, SOCK_RAW, 0);
    struct packet_mreq all = {.mr_ifindex = card, .mr_type = PACKET_MR_PROMISC};
    struct sockaddr_ll here = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = card};
    struct timeval glance = {.tv_sec = 1};
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &glance, sizeof glance) ||
        setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all) ||
        bind(fd, (struct sockaddr *)&here, sizeof here))
        return -1;
    return fd;
}

int main(int argc, char **argv)
{
    static unsigned char frame[65536];
    unsigned long others = 0, own = 0;
    int fd = ear();
    if (argc != 2 || fd < 0) {
        puts("cannot listen");
        return 1;
    }
    puts("listening");
    fflush(stdout);
    for (time_t until = now() + PATIENCE_S; now() < until;) {
        struct sockaddr_ll from;
        socklen_t size = sizeof from;
        ssize_t length = recvfrom(fd, frame, sizeof frame, 0, (struct sockaddr *)&from, &size);
        if (length < 0)
            continue;
        /* The kernel has compared the frame's address with ours; what is for all or for a group is neither. */
        others += from.sll_pkttype == PACKET_OTHERHOST;
        own += from.sll_pkttype == PACKET_HOST;
        if (from.sll_pkttype == PACKET_HOST && is_to(frame, (size_t)length, atoi(argv[1]))) {
            printf("others %lu own %lu\n", others, own);
            return 0;
        }
    }
    puts("nobody said when to stop");
    return 1;
}
