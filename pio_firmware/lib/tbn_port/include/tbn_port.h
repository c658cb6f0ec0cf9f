/* What the firmware needs of a board. One implementation a file: stm32f411.c (bare metal, polled), arduino.cpp. */
#ifndef TBN_PORT_H
#define TBN_PORT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { TBN_PORT_BAUD = 115200 };

/* What tbn_port_ticks counts. */
typedef enum { TBN_TICKS_CORE_CLOCK = 0, TBN_TICKS_MICROSECONDS = 1 } tbn_tick_unit;

void tbn_port_init(void);
uint32_t tbn_port_read(uint8_t *to, uint32_t most); /* takes the bytes that have come in; how many, 0 when none has */
void tbn_port_write(uint8_t byte);
uint32_t tbn_port_ticks(void); /* wraps at 2^32 */
tbn_tick_unit tbn_port_tick_unit(void);
uint32_t tbn_port_ticks_per_second(void);

#ifdef __cplusplus
}
#endif
#endif
