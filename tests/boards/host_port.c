/* A board that is a process: the firmware's own device.c behind standard input and output. Ends where its input ends, or stays and waits
 * with -DSTAY, as a board does whose serial line nobody has open. */
#define _POSIX_C_SOURCE 200809L
#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "device.h"
#include "tbn_port.h"

static uint8_t sent[4096];
static size_t waiting;

static void flush(void)
{
    for (size_t done = 0; done < waiting;) {
        const ssize_t count = write(1, sent + done, waiting - done);
        if (count <= 0) {
            break;
        }
        done += (size_t)count;
    }
    waiting = 0;
}

void tbn_port_init(void) {}

uint32_t tbn_port_read(uint8_t *to, uint32_t most)
{
    struct pollfd line = {0, POLLIN, 0};
    flush();
    if (poll(&line, 1, 20) <= 0) {
        return 0;
    }
    const ssize_t count = read(0, to, most);
    if (count > 0) {
        return (uint32_t)count;
    }
#ifdef STAY
    nanosleep(&(struct timespec){0, 5000000}, NULL);
    return 0;
#else
    exit(0);
#endif
}

void tbn_port_write(uint8_t byte)
{
    sent[waiting++] = byte;
    if (waiting == sizeof sent) {
        flush();
    }
}

uint32_t tbn_port_ticks(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)((uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u);
}

tbn_tick_unit tbn_port_tick_unit(void)
{
    return TBN_TICKS_MICROSECONDS;
}

uint32_t tbn_port_ticks_per_second(void)
{
    return 1000000;
}

int main(void)
{
    device_init();
    for (;;) {
        device_poll();
    }
}
