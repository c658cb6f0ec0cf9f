/* Where constants lie. On most cores `static const` data stays in flash and is read like RAM; AVR needs its own instruction. */
#ifndef TBN_FLASH_H
#define TBN_FLASH_H

#include <stdint.h>

#if defined(__AVR__)
#include <avr/pgmspace.h>
#define TBN_FLASH PROGMEM
#define TBN_READ_U8(address) ((uint8_t)pgm_read_byte(address))
#define TBN_READ_F32(address) ((float)pgm_read_float(address))
#else
#define TBN_FLASH
#define TBN_READ_U8(address) (*(address))
#define TBN_READ_F32(address) (*(address))
#endif

#endif
