/* CRC-32, reflected polynomial 0xEDB88320, four bits at a time: 64 bytes of table. */
#include "tbn_frame.h"

#if defined(__AVR__)
#include <avr/pgmspace.h>
#define IN_FLASH PROGMEM
#define READ(address) pgm_read_dword(address)
#else
#define IN_FLASH
#define READ(address) (*(address))
#endif

static const uint32_t tbn_crc32_table[16] IN_FLASH = {0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u,
                                                      0x4DB26158u, 0x5005713Cu, 0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu,
                                                      0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu};

uint32_t tbn_crc32(uint32_t crc, const uint8_t *bytes, uint32_t count)
{
    crc = ~crc;
    for (uint32_t i = 0; i < count; i++) {
        crc ^= bytes[i];
        crc = (crc >> 4) ^ READ(&tbn_crc32_table[crc & 15u]);
        crc = (crc >> 4) ^ READ(&tbn_crc32_table[crc & 15u]);
    }
    return ~crc;
}
