/* udp-echo: sends every datagram that comes to UDP port 7 back to its sender, as RFC 862 has it. */
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>

enum { PORT = 7 };

int main(void)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(PORT)}, from;
    char text[2048];
    int udp = socket(AF_INET, SOCK_DGRAM, 0);

    if (udp < 0 || bind(udp, (struct sockaddr *)&here, sizeof here)) {
        perror("udp-echo");
        return 1;
    }
    for (;;) {
        socklen_t size = sizeof from;
        ssize_t length = recvfrom(udp, text, sizeof text, 0, (struct sockaddr *)&from, &size);
        /* One that cannot be sent is lost, as datagrams may be. */
        if (length >= 0)
            sendto(udp, text, (size_t)length, 0, (struct sockaddr *)&from, size);
    }
}
