/* Any board with an Arduino core: `Serial` and micros(). */
#if defined(ARDUINO)
#include <Arduino.h>

#include "tbn_port.h"

void tbn_port_init(void)
{
    Serial.begin(TBN_PORT_BAUD);
}

uint32_t tbn_port_read(uint8_t *to, uint32_t most)
{
    uint32_t count = 0;
    while (count < most) {
        const int byte = Serial.read();
        if (byte < 0) {
            break;
        }
        to[count++] = (uint8_t)byte;
    }
    return count;
}

void tbn_port_write(uint8_t byte)
{
    Serial.write(byte);
}

uint32_t tbn_port_ticks(void)
{
    return micros();
}

tbn_tick_unit tbn_port_tick_unit(void)
{
    return TBN_TICKS_MICROSECONDS;
}

uint32_t tbn_port_ticks_per_second(void)
{
    return 1000000;
}
#endif
