/*
 * dirty MIB [KIB]: writes to so much memory, page after page and from the beginning again, KIB kibibytes a second, or as fast as
 * it can if left out. All bytes are drawn anew each time: for who compares pages they have changed, and drawing them takes
 * the processor's time, so that a guest that is slowed down writes less.
 */
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

enum { PAGE_BYTES = 4096, PAGES_PER_MIB = 256, TICKS_PER_SECOND = 10 };

/* xorshift, by Marsaglia. */
static void draw(unsigned char *page)
{
    static uint32_t state = 2463534242U;
    for (int at = 0; at < PAGE_BYTES; ++at) {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        page[at] = (unsigned char)state;
    }
}

int main(int argc, char **argv)
{
    const struct timespec tick = {.tv_nsec = 1000000000L / TICKS_PER_SECOND};
    size_t pages = argc > 1 ? strtoul(argv[1], NULL, 10) * PAGES_PER_MIB : 0;
    size_t a_second = argc > 2 ? strtoul(argv[2], NULL, 10) * 1024 / PAGE_BYTES : 0;
    unsigned char *memory = pages > 0 ? aligned_alloc(PAGE_BYTES, pages * PAGE_BYTES) : NULL;
    if (!memory)
        return 2;
    /* All of it at first, so that there is as much to carry from the beginning. In tenths of pages, as ticks are of seconds. */
    size_t due = pages * TICKS_PER_SECOND;
    for (size_t page = 0;;) {
        for (; due >= TICKS_PER_SECOND; due -= TICKS_PER_SECOND) {
            draw(memory + page * PAGE_BYTES);
            page = (page + 1) % pages;
        }
        if (a_second > 0)
            nanosleep(&tick, NULL);
        due += a_second > 0 ? a_second : pages * TICKS_PER_SECOND;
    }
}
